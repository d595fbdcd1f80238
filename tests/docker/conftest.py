"""One stack in real containers for all of these tests, from nothing, on images that are built here."""

import os
import subprocess

import pytest
from support.compose import PROGRAMS, REPOSITORY, ComposeProject, program
from support.stack import wait_until

MODELS = ("digits-mlp", "efficientnet-lite0")


@pytest.fixture(scope="session")
def images():
    """The images of the air-gapped path, built of this very tree; what has not changed is not built again."""
    if not any(program(words) for words in PROGRAMS):
        pytest.skip(f"needs one of {' and '.join(PROGRAMS)}")
    subprocess.run([REPOSITORY / "deploy" / "airgap" / "build"], check=True)


@pytest.fixture(scope="session")
def project(images, model_store_root):
    """The running stack, every health check of which has passed."""
    project = ComposeProject(f"gateway-test-{os.getpid()}")
    try:
        project.fill_store(model_store_root, MODELS)
        project.compose("up", "--detach", "--no-build")
        wait_until(project.healthy, 120)  # of the gateway, which nothing waits for
        yield project
    finally:
        project.down()
    assert project.left() == []
