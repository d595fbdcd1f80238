"""A server whose list of models is a file in a volume, as the official TensorFlow Serving's is: it is written anew."""

import os

import pytest
from support.compose import docker

import gateway
from gateway.runtime.docker.engine import Engine
from gateway.runtime.docker.gateways import Gateways
from gateway.runtime.docker.preparation import prepare
from gateway.runtime.docker.project import COMPOSE_LABEL, SERVICE_LABEL, Project
from gateway.runtime.docker.replace import Deployment
from gateway.runtime.docker.template import Change
from gateway.runtime.errors import RuntimeFailure

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(300)]

NAME = f"gateway-test-preparation-{os.getpid()}"
WRITE = (
    'echo "$GATEWAY_MODELS" > /run/gateway/list; test "$GATEWAY_MODELS" != "[bad]" || { echo no such model; exit 3; }'
)


def run(service, mode, *command):
    """A container of the project with its volume, of which nothing but the labels tells what it is for."""
    labels = ("--label", f"{COMPOSE_LABEL}={NAME}", "--label", f"{SERVICE_LABEL}={service}")
    image = f"serving-gateway/gateway:{gateway.__version__}"
    docker("run", "--detach", "--name", f"{NAME}-{service}", *labels, "--volume", f"{NAME}:/run/gateway:{mode}",
           "--env", "GATEWAY_MODELS=[]", "--entrypoint", command[0], image, *command[1:])  # fmt: skip


@pytest.fixture
def deployment(images):
    try:
        run("models", "rw", "sh", "-c", WRITE)
        docker("wait", f"{NAME}-models")
        run("tensorflow", "ro", "sleep", "infinity")
        engine = Engine()
        project = Project(engine, NAME, COMPOSE_LABEL)
        yield Deployment(project, Gateways([]), 1.0, lambda: None, lambda service, news: None)
        engine.close()
    finally:
        docker("rm", "--force", "--volumes", *(f"{NAME}-{one}" for one in ("models", "tensorflow")))
        docker("volume", "rm", NAME)


def told():
    """What the server reads."""
    return docker("exec", f"{NAME}-tensorflow", "cat", "/run/gateway/list")


def test_the_container_that_wrote_the_list_writes_it_anew(deployment):
    assert told() == "[]"
    prepare(deployment, "tensorflow", Change(environment={"GATEWAY_MODELS": "[a/1, a/2]"}))
    assert told() == "[a/1, a/2]"
    prepare(deployment, "tensorflow", Change(environment={"GATEWAY_MODELS": None}))
    assert told() == "[]"
    assert [one.name for one in deployment.project.containers("models")] == [f"{NAME}-models"]


def test_one_that_fails_is_told_of_and_leaves_the_old_one(deployment):
    (before,) = deployment.project.containers("models")
    with pytest.raises(RuntimeFailure, match=r"(?s)^models: exit code 3.*no such model"):
        prepare(deployment, "tensorflow", Change(environment={"GATEWAY_MODELS": "[bad]"}))
    assert [one.id for one in deployment.project.containers("models")] == [before.id]


def test_a_service_without_such_a_volume_needs_nothing(deployment):
    docker("run", "--detach", "--name", f"{NAME}-onnxruntime", "--label", f"{COMPOSE_LABEL}={NAME}", "--label",
           f"{SERVICE_LABEL}=onnxruntime", "--entrypoint", "sleep", f"serving-gateway/gateway:{gateway.__version__}",
           "infinity")  # fmt: skip
    try:
        prepare(deployment, "onnxruntime", Change(environment={"GATEWAY_MODELS": "[bad]"}))
    finally:
        docker("rm", "--force", f"{NAME}-onnxruntime")
    assert told() == "[]"
