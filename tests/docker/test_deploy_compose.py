"""`gateway deploy` on what compose started: containers and models change under load, and compose goes on with them."""

import asyncio
import json
import urllib.request

import numpy as np
import pytest
from support.compose import BACKENDS, inspect
from support.load import Load
from support.next_version import add_version
from support.stack import gateway

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(1200)]

DIGITS = "digits-mlp"
BODY = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 784], "data": np.zeros(784).tolist()}]}
WORKERS = 4


def deploy(project, *words):
    return gateway("deploy", *words, "--project", project.name)


def under_load(project, *words):
    """Run `gateway deploy` while clients send requests, of which none may fail; returns the finished process."""
    (address,) = project.addresses(8000)

    async def run():
        load = Load(address, f"/v2/models/{DIGITS}/infer", BODY, WORKERS)
        await load.until(lambda load: all(load.served_by[backend] for backend in BACKENDS))
        done = await asyncio.to_thread(deploy, project, *words)
        counts = dict(load.served_by)
        await load.until(lambda load: all(load.served_by[backend] > counts[backend] for backend in BACKENDS))
        await load.stop()
        return done, load

    done, load = asyncio.run(run())
    assert load.outcomes.keys() == {"ok"}, (load.outcomes, load.errors)
    return done


@pytest.fixture(scope="module")
def second_version(project, model_store_root, tmp_path_factory):
    """The model once more, as a version of its own, in the project's store."""
    store = tmp_path_factory.mktemp("second") / "models"
    add_version(store, model_store_root / DIGITS / "1", "2")
    project.fill_store(store, [DIGITS])


def versions(project):
    """Those of the model that the gateway serves."""
    (address,) = project.addresses(8000)
    with urllib.request.urlopen(f"http://{address}/v2/models/{DIGITS}", timeout=10) as answer:
        return json.load(answer)["versions"]


def test_compose_goes_on_with_a_container_that_was_replaced(project):
    (before,) = project.containers("onnxruntime")
    under_load(project, "replace", "onnxruntime")
    (after,) = project.containers("onnxruntime")
    assert after != before
    project.compose("up", "--detach", "--no-build")
    assert project.containers("onnxruntime") == [after]  # it is what the file asks for


def test_a_model_is_rolled_on_every_backend_under_load(project, second_version):
    made_with = {service: inspect(project.containers(service)[0])["Config"]["Env"] for service in BACKENDS}
    assert versions(project) == ["1"]
    done = under_load(project, "model", f"{DIGITS}/2")
    assert f"{DIGITS}/2 is served in place of {DIGITS}/1" in done.stderr
    assert versions(project) == ["2"]
    for service in BACKENDS:
        (container,) = project.containers(service)
        assert sorted(inspect(container)["Config"]["Env"]) == sorted(made_with[service])
