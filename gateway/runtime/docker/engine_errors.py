"""What a Docker engine says in many words, in one sentence for the user."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests

from gateway.runtime.errors import RuntimeFailure

_NO_ENGINE = "no Docker engine answers at {url}; start it, or run local processes with `gateway up`"
_NO_PERMISSION = "this user may not speak to the Docker engine at {url}; it needs to be in the group `docker`"

# What is in the engine's words → ours. ``{}`` is the part in brackets.
_EXPLANATIONS = (
    (r"no space left on device", "the disk of the Docker engine is full"),
    (r"Bind for (\S+) failed: port is already allocated", "port {} is taken by another container"),
    (r"listen tcp4? (\S+): bind: address already in use", "port {} is taken by another process"),
    (
        r"could not select device driver.*gpu|nvidia-container-cli|unknown.* runtime.*nvidia",
        "it asks for a GPU, and the Docker engine has none",
    ),
    (r"[Nn]o such image: (\S+)", "there is no image {}"),
    (r"bind source path does not exist: (.+)", "{} does not exist on the Docker engine's machine"),
    (
        r"[Cc]onflict.*container name \"/?([^\"]+)\"",
        "there is a container called {} already: another deployment is at work, or one was killed",
    ),
)


@contextmanager
def explained(subject: str, url: str = "") -> Iterator[None]:
    """Turn errors of the SDK into a RuntimeFailure about ``subject``, such as a service."""
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise RuntimeFailure(f"{subject}: {explain(error, url)}") from None


def explain(error: Exception, url: str = "") -> str:
    """The cause of ``error`` in one sentence; ``url`` is the engine's address."""
    shown = url or "its address"
    for number in _error_numbers(error):
        if number == errno.EACCES:
            return _NO_PERMISSION.format(url=shown)
        if number in (errno.ENOENT, errno.ECONNREFUSED):
            return _NO_ENGINE.format(url=shown)
    return explain_text(getattr(error, "explanation", None) or str(error))


def explain_text(text: str) -> str:
    """The engine's ``text`` in a sentence of ours where it is known, else as it stands."""
    for pattern, sentence in _EXPLANATIONS:
        if found := re.search(pattern, text):
            return sentence.format(*found.groups())
    return " ".join(text.split())


def _error_numbers(error: BaseException | None, seen: frozenset[int] = frozenset()) -> Iterator[int]:
    """The operating system's error numbers in ``error`` and in what it was made of."""
    if error is None or id(error) in seen:
        return
    if isinstance(error, OSError) and error.errno is not None:
        yield error.errno
    inner = (*error.args, getattr(error, "reason", None), error.__cause__, error.__context__)
    for part in inner:
        if isinstance(part, BaseException):
            yield from _error_numbers(part, seen | {id(error)})
