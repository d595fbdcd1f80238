"""The engine's words, as it says them, and ours."""

import errno

import docker.errors
import pytest
import requests
from urllib3.exceptions import ProtocolError

from gateway.runtime.docker.engine_errors import explain, explain_text, explained
from gateway.runtime.errors import RuntimeFailure


def unreachable(number):
    """What the SDK raises when the socket cannot be opened."""
    cause = requests.ConnectionError(ProtocolError("Connection aborted.", OSError(number, "…")))
    error = docker.errors.DockerException(f"Error while fetching server API version: {cause}")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOENT, "no Docker engine answers at unix:///x.sock"),
        (errno.ECONNREFUSED, "no Docker engine answers at unix:///x.sock"),
        (errno.EACCES, "this user may not speak to the Docker engine at unix:///x.sock"),
    ],
)
def test_the_operating_systems_reason_is_found_however_deep_it_is(number, expected):
    assert explain(unreachable(number), "unix:///x.sock").startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "driver failed programming external connectivity on endpoint gateway (0a1b): "
            "Bind for 127.0.0.1:8000 failed: port is already allocated",
            "port 127.0.0.1:8000 is taken by another container",
        ),
        (
            "driver failed programming external connectivity on endpoint gateway (0a1b): Error starting userland "
            "proxy: listen tcp4 127.0.0.1:8000: bind: address already in use",
            "port 127.0.0.1:8000 is taken by another process",
        ),
        (
            "failed to copy files: write /var/lib/docker/overlay2/0a/diff/x: no space left on device",
            "the disk of the Docker engine is full",
        ),
        (
            'could not select device driver "nvidia" with capabilities: [[gpu]]',
            "it asks for a GPU, and the Docker engine has none",
        ),
        ("No such image: serving-gateway/gateway:9", "there is no image serving-gateway/gateway:9"),
        (
            'Conflict. The container name "/a.next" is already in use by container "0a1b".',
            "there is a container called a.next already: another deployment is at work, or one was killed",
        ),
        ("something\n  new", "something new"),
    ],
)
def test_known_words_become_a_sentence_and_others_stay(text, expected):
    assert explain_text(text) == expected


def test_a_failure_names_its_subject():
    with pytest.raises(RuntimeFailure, match=r"^onnxruntime: disk on fire$"), explained("onnxruntime"):
        raise docker.errors.APIError("500", explanation="disk on fire")
