"""`gateway up --runtime docker` and `gateway deploy`: a small stack is changed under load, and no request is lost."""

import asyncio
import json
import os
import shutil
import signal

import pytest
from support.compose import docker, inspect
from support.load import Load
from support.scaled_store import add_sample, save_scaled
from support.stack import gateway, running_stack, starting_stack, wait_until

import gateway as package
from gateway.runtime.docker.plan import project_name
from gateway.runtime.state import RunDirectory

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(900)]

CONFIG = """
http: {port: 0}
grpc: {port: 0}
metrics: {port: 0}
model_store: %s
health: {timeout: 20} # the machine is busy starting containers: that is no reason to call a server dead
backends:
  onnxruntime: {kind: oip, url: "http://127.0.0.1:0", launch: {device: cpu}}
"""
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
WORKERS = 4


class Deployed:
    """A running stack in containers that serves the model "scaled"."""

    def __init__(self, stack, store):
        self.stack = stack
        self.store = store
        self.project = stack.state["project"]

    def deploy(self, *words, check=True):
        return gateway("deploy", *words, "--project", self.project, check=check)

    def build(self, version, factor, answer):
        """A version of the model, whose source is said to have multiplied by ``answer``."""
        save_scaled(self.store, factor, version=version)
        add_sample(self.store, answer, version=version)

    def answer(self):
        """What the model multiplies by."""
        sample = self.store / "scaled" / "1" / "samples" / "ones-and-twos.npy"
        done = gateway("infer", "scaled", "--npy", str(sample), "--config", self.stack.config, "--output", "json")
        (answer,) = json.loads(done.stdout)["answers"]
        return answer["outputs"]["y"]["data"][0]

    def containers(self):
        """Id by name of every container that carries the project's label."""
        return _listed(self.project)

    def under_load(self, *words, check=True):
        """Run `gateway deploy` while clients send requests, of which none may fail; returns the finished process."""

        async def run():
            load = Load(self.stack.state["gateway"]["http"], "/v2/models/scaled/infer", BODY, WORKERS)
            await load.until(lambda load: load.outcomes["ok"] > WORKERS)
            done = await asyncio.to_thread(self.deploy, *words, check=check)
            answered = load.outcomes["ok"]
            await load.until(lambda load: load.outcomes["ok"] > answered + WORKERS)
            await load.stop()
            return done, load

        done, load = asyncio.run(run())
        assert set(load.outcomes) == {"ok"}, (load.outcomes, load.errors)
        return done


def _listed(project):
    label = f"label=com.serving-gateway.project={project}"
    return dict(
        line.split() for line in docker("ps", "-a", "--format", "{{.Names}} {{.ID}}", "--filter", label).splitlines()
    )


@pytest.fixture(scope="module")
def bystander(images):
    """A container that is none of ours, though its image is and its name looks like it."""
    name = f"gateway-bystander-{os.getpid()}"
    image = f"serving-gateway/gateway:{package.__version__}"
    docker("run", "--detach", "--name", name, "--entrypoint", "sleep", image, "infinity")
    yield name
    docker("rm", "--force", name)


@pytest.fixture(scope="module")
def deployed(images, bystander, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stack")
    store = save_scaled(folder / "models", 2)
    add_sample(store, 2)
    before = inspect(bystander)["State"]
    with running_stack(store, folder, CONFIG, ["--runtime", "docker"]) as stack:
        made = Deployed(stack, store)
        yield made
    assert stack.process.returncode == 0
    assert made.containers() == {}
    assert docker("network", "ls", "-q", "--filter", f"label=com.serving-gateway.project={made.project}") == ""
    assert inspect(bystander)["State"] == before


def test_everything_is_ready_and_only_the_gateway_is_published(deployed):
    rows = json.loads(deployed.deploy("status", "--json").stdout)
    assert {row["service"]: row["state"] for row in rows} == {"gateway": "healthy", "onnxruntime": "healthy"}
    published = {row["service"]: row["published"] for row in rows}
    assert published["onnxruntime"] == []
    assert all(address.startswith("127.0.0.1:") for address in published["gateway"])
    assert deployed.answer() == 2


def test_a_container_has_no_rights(deployed):
    for container in deployed.containers().values():
        state = inspect(container)
        assert state["Config"]["User"] == "10001:10001"
        assert state["HostConfig"]["ReadonlyRootfs"]
        assert state["HostConfig"]["CapDrop"] == ["ALL"]
        done = docker("exec", container, "sh", "-c", "touch /opt/x", check=False)
        assert "Read-only file system" in done.stderr


def test_a_container_that_dies_is_started_again(deployed):
    docker("exec", f"{deployed.project}-onnxruntime-1", "sh", "-c", "kill -9 -1", check=False)

    def again():
        server = deployed.stack.state["backends"]["onnxruntime"]
        return server["restarts"] == 1 and server["state"] == "ready"

    wait_until(again, 120)


def test_a_backend_is_replaced_under_load(deployed):
    before = deployed.containers()
    deployed.under_load("replace", "onnxruntime")
    after = deployed.containers()
    assert before.keys() == after.keys()
    assert before[f"{deployed.project}-gateway-1"] == after[f"{deployed.project}-gateway-1"]
    assert before[f"{deployed.project}-onnxruntime-1"] != after[f"{deployed.project}-onnxruntime-1"]


def test_an_image_that_does_not_start_is_rolled_back(deployed):
    before = deployed.containers()
    done = deployed.under_load("replace", "onnxruntime", "--image", "python:3.11-slim-bookworm", check=False)
    assert done.returncode == 1
    assert "onnxruntime: rolled back, everything runs as before" in done.stderr
    assert deployed.containers() == before


def test_an_image_that_is_nowhere_is_named(deployed):
    before = deployed.containers()
    done = deployed.deploy("replace", "onnxruntime", "--image", "localhost:1/nobody/nothing:1", check=False)
    assert done.returncode == 1
    assert "image localhost:1/nobody/nothing:1 is not here and cannot be pulled" in done.stderr
    assert deployed.containers() == before


def test_a_new_version_takes_over_under_load(deployed):
    deployed.build("2", factor=3, answer=3)
    made_with = inspect(f"{deployed.project}-onnxruntime-1")["Config"]["Env"]
    done = deployed.under_load("model", "scaled/2")
    assert "scaled/2 is served in place of scaled/1" in done.stderr
    assert deployed.answer() == 3
    assert inspect(f"{deployed.project}-onnxruntime-1")["Config"]["Env"] == made_with
    assert "scaled/2 is what is served already" in deployed.deploy("model", "scaled").stderr


def test_a_version_that_answers_wrong_is_rolled_back(deployed):
    deployed.build("3", factor=7, answer=4)
    before = deployed.containers()
    done = deployed.under_load("model", "scaled", check=False)
    assert done.returncode == 1
    assert "scaled/3" in done.stderr
    assert "source and the server differ by" in done.stderr
    assert deployed.containers() == before
    assert deployed.answer() == 3
    shutil.rmtree(deployed.store / "scaled" / "3")


def test_a_version_that_does_not_load_is_rolled_back(deployed):
    deployed.build("4", factor=4, answer=4)
    (deployed.store / "scaled" / "4" / "onnx" / "model.onnx").write_bytes(b"torn")
    before = deployed.containers()
    done = deployed.under_load("model", "scaled", check=False)
    assert done.returncode == 1
    assert "model.onnx is corrupt" in done.stderr
    assert deployed.containers() == before
    assert deployed.answer() == 3
    shutil.rmtree(deployed.store / "scaled" / "4")


def test_what_is_stopped_is_started_again(deployed):
    deployed.deploy("stop")
    assert deployed.deploy("status", check=False).returncode == 1
    deployed.deploy("start")
    assert deployed.deploy("status").returncode == 0
    wait_until(lambda: deployed.stack.state["phase"] == "ready")
    assert deployed.answer() == 3


def test_the_logs_of_a_service_are_shown(deployed):
    lines = deployed.deploy("logs", "onnxruntime", "--tail", "1").stdout.splitlines()
    assert [line.partition(" | ")[0] for line in lines] == [f"{deployed.project}-onnxruntime-1"]


@pytest.fixture
def refused(tmp_path):
    """A `gateway up --runtime docker` that is to fail: its message. Nothing of it may be left."""

    def up(configuration, *options):
        store = save_scaled(tmp_path / "models", 2)
        config, run_dir = tmp_path / "stack.yaml", tmp_path / "run"
        config.write_text(configuration % store)
        words = ["up", "--runtime", "docker", "--config", str(config), "--run-dir", str(run_dir), *options]
        done = gateway(*words, check=False)
        assert done.returncode == 1
        project = project_name(RunDirectory(run_dir))
        assert _listed(project) == {}
        assert docker("network", "ls", "-q", "--filter", f"label=com.serving-gateway.project={project}") == ""
        return done.stderr

    return up


def test_an_image_that_cannot_be_had_is_named(refused):
    message = refused(CONFIG, "--images", "localhost:1/nobody")
    image = f"localhost:1/nobody/onnxruntime:{package.__version__}"
    assert f"error: onnxruntime: image {image} is not here and cannot be pulled" in message


def test_a_server_that_does_not_get_healthy_fails_the_start(images, refused):
    message = refused(CONFIG.replace("device: cpu", "device: cpu, ready_timeout: 0.1"))
    assert "error: onnxruntime: not healthy within 0.1 s" in message


def test_a_gpu_that_is_not_there_is_named(images, refused):
    gpu = f"serving-gateway/onnxruntime-gpu:{package.__version__}"
    docker("tag", f"serving-gateway/onnxruntime:{package.__version__}", gpu)
    try:
        message = refused(CONFIG.replace("device: cpu", "device: 'cuda:0'"))
    finally:
        docker("rmi", gpu)
    assert "error: onnxruntime: it asks for a GPU, and the Docker engine has none" in message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_however_it_ends_while_it_starts_nothing_is_left(images, tmp_path, number):
    store = save_scaled(tmp_path / "models", 2)
    project = project_name(RunDirectory(tmp_path / "run"))
    with starting_stack(store, tmp_path, CONFIG, ["--runtime", "docker"]) as process:
        wait_until(lambda: _listed(project))
        process.send_signal(number)
        process.wait(120)
    if number == signal.SIGKILL:  # the containers go on until somebody looks
        done = gateway("down", "--run-dir", str(tmp_path / "run"))
        assert "ended without cleaning up; stopped 1 server(s) that it had left" in done.stderr
    assert _listed(project) == {}
