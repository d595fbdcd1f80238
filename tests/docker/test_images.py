"""The images as they were built on the air-gapped path: who they run as, and what they do not carry."""

import json
import os
import subprocess

import pytest
from support.compose import REPOSITORY, docker

import gateway

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(300)]

NAMES = ("gateway", "onnxruntime", "torchserve", "tensorflow", "models")
IMAGES = os.environ.get("IMAGES", "serving-gateway")  # as deploy/airgap/build reads it
TAGS = {name: f"{IMAGES}/{name}:{gateway.__version__}" for name in (*NAMES, "prometheus")}


def in_image(name, *command):
    """What a program of the image prints, as it runs in the stack: on a read-only system, without a network."""
    confined = ("--read-only", "--network=none", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--tmpfs=/tmp")
    return docker("run", "--rm", *confined, "--entrypoint", command[0], TAGS[name], *command[1:])


@pytest.mark.parametrize("name", TAGS)
def test_it_runs_as_nobody_in_particular(images, name):
    assert in_image(name, "id", "-u") == in_image(name, "id", "-g") == "10001"


@pytest.mark.parametrize("name", NAMES)
def test_it_carries_our_package_and_nothing_that_installs_others(images, name):
    assert in_image(name, "gateway", "--version") == gateway.__version__
    found = in_image(
        name, "python", "-c", "import importlib.util as u; print([u.find_spec(n) for n in ('pip', 'hatchling')])"
    )
    assert found == "[None, None]"
    site_settings = in_image(name, "sh", "-c", "ls -d /wheels /etc/pip.conf 2>/dev/null || true")
    assert site_settings == ""


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(images, name):
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", TAGS[name]))
    assert labels["org.opencontainers.image.title"] == f"serving-gateway/{name}"
    assert labels["org.opencontainers.image.version"] == gateway.__version__


def test_the_gateway_is_small(images):
    assert int(docker("image", "inspect", "--format", "{{.Size}}", TAGS["gateway"])) < 350e6


def test_building_again_changes_nothing(images):
    before = {tag: docker("image", "inspect", "--format", "{{.Id}}", tag) for tag in TAGS.values()}
    said = subprocess.run(
        [REPOSITORY / "deploy" / "airgap" / "build"], check=True, capture_output=True, text=True
    ).stdout
    assert said.count("is up to date") == 2  # the base image and the one with the wheels
    assert {tag: docker("image", "inspect", "--format", "{{.Id}}", tag) for tag in TAGS.values()} == before
