"""What the stack says when it cannot come up, and that nothing of it is left."""

import os
import socket

import pytest
from support.compose import ComposeProject, docker, free_range

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(300)]


@pytest.fixture
def failing(images, request):
    """Makes projects with the given variables, and takes them down."""
    made = []

    def make(**variables):
        made.append(ComposeProject(f"gateway-test-{os.getpid()}-{len(made)}", **variables))
        return made[-1]

    yield make
    for project in made:
        project.down()
        assert project.left() == []


def test_a_taken_port_is_named(failing, tmp_path):
    port = free_range(1)
    project = failing(HTTP_PORT=str(port))
    with socket.create_server(("127.0.0.1", port)):
        done = project.compose("up", "--detach", "--no-build", "--no-deps", "gateway", check=False)
    assert done.returncode != 0
    assert f"127.0.0.1:{port}" in done.stderr
    assert "address already in use" in done.stderr


def test_a_model_that_is_not_in_the_store_is_named(failing, model_store_root):
    project = failing(SERVED_MODELS="[digits-mlp, nobody]")
    project.fill_store(model_store_root, ["digits-mlp"])
    done = project.compose("up", "--no-build", "models", check=False)
    (container,) = project.containers("models")
    said = docker("logs", container, check=False)
    assert "model 'nobody' is not in the store /models (built: digits-mlp)" in said.stderr + said.stdout, done.stderr
    # Nothing that needs it is started.
    done = project.compose("up", "--detach", "--no-build", "onnxruntime", check=False)
    assert done.returncode != 0
    assert "models" in done.stderr


def test_an_empty_store_is_filled(failing):
    project = failing(MODELS="digits-mlp --quick --only onnx,tensorflow")
    project.compose("up", "--no-build", "models")
    listed = project.compose(
        "run", "--rm", "-T", "--no-deps", "--entrypoint", "model-store list --store /models --json", "models"
    )
    assert '"name": "digits-mlp"' in listed.stdout
