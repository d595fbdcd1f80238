"""The whole stack in containers: brought up from nothing, asked from outside, hurt, scaled, and taken down."""

import asyncio
import json
import urllib.request

import numpy as np
import pytest
import tritonclient.grpc
import yaml
from support.compose import BACKENDS, docker, inspect
from support.load import Load
from support.stack import gateway, wait_until

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(300)]

CAT = "efficientnet-lite0"
DIGITS = "digits-mlp"
BODY = {"inputs": [{"name": "input", "datatype": "FP32", "shape": [1, 784], "data": np.zeros(784).tolist()}]}
WORKERS = 8


@pytest.fixture(scope="module")
def client_config(project, model_store_root, tmp_path_factory):
    """What `gateway infer` needs to know outside of the containers: the published ports."""
    config = {"model_store": str(model_store_root), "backends": {}}
    for key, port in (("http", 8000), ("grpc", 8001)):
        config[key] = {"port": int(project.addresses(port)[0].rpartition(":")[2])}
    path = tmp_path_factory.mktemp("client") / "client.yaml"
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_cat_is_a_cat(client_config, model_store_root, backend, protocol):
    picture = model_store_root / CAT / "1" / "samples" / "chelsea.png"
    options = ["--backend", backend, "--protocol", protocol, "--config", client_config, "--output", "json"]
    (answer,) = json.loads(gateway("infer", CAT, "--image", str(picture), *options).stdout)["answers"]
    assert answer["backend"] == backend
    assert "cat" in answer["top"][0]["label"].lower()
    assert answer["top"][0]["probability"] > 0.5


def test_prometheus_finds_every_target_up(project):
    def targets():
        return json.loads(project.get("prometheus", 9090, "/api/v1/targets"))["data"]["activeTargets"]

    wanted = {"gateway", "prometheus", *BACKENDS}
    wait_until(lambda: {one["labels"]["job"] for one in targets() if one["health"] == "up"} == wanted)
    assert [one["lastError"] for one in targets() if one["health"] != "up"] == []


def test_the_counters_move_by_exactly_the_requests_sent(project):
    # Health checks speak OIP over HTTP; these two protocols are the test's alone.
    labels = f'job="gateway",model="{DIGITS}",outcome="ok",protocol=~"tfserving-rest|oip-grpc"'

    def counts():
        series = project.query(f"gateway_request_duration_seconds_count{{{labels}}}")
        return {(told["protocol"], told["backend"]): value for told, value in series if value}

    sent = {("tfserving-rest", "torchserve"): 7, ("tfserving-rest", "onnxruntime"): 5, ("oip-grpc", "tensorflow"): 11}
    before = counts()
    (http,), (grpc,) = project.addresses(8000), project.addresses(8001)
    body = json.dumps({"instances": np.zeros((1, 784)).tolist()}).encode()
    with tritonclient.grpc.InferenceServerClient(grpc) as client:
        tensor = tritonclient.grpc.InferInput("input", [1, 784], "FP32")
        tensor.set_data_from_numpy(np.zeros((1, 784), np.float32))
        for (protocol, backend), number in sent.items():
            for _ in range(number):
                if protocol == "oip-grpc":
                    client.infer(DIGITS, [tensor], headers={"x-gateway-backend": backend})
                else:
                    url = f"http://{http}/v1/models/{DIGITS}:predict"
                    request = urllib.request.Request(url, body, {"x-gateway-backend": backend})
                    urllib.request.urlopen(request, timeout=30).read()
    expected = before | {key: before.get(key, 0) + number for key, number in sent.items()}
    wait_until(lambda: counts() == expected, 30)
    # And so they stay: at the next scrapes they are the same.
    scrapes = project.query("prometheus_tsdb_head_samples_appended_total")
    wait_until(lambda: project.query("prometheus_tsdb_head_samples_appended_total") != scrapes, 30)
    assert counts() == expected


def test_the_containers_are_as_closed_as_the_file_says(project):
    for service in ("gateway", *BACKENDS, "prometheus"):
        (container,) = project.containers(service)
        state = inspect(container)
        assert state["HostConfig"]["ReadonlyRootfs"] is True
        assert state["HostConfig"]["CapDrop"] == ["ALL"]
        assert (state["HostConfig"]["Memory"] > 0, state["HostConfig"]["PidsLimit"] > 0) == (True, True)
        assert docker("exec", container, "id", "-u") == "10001"
        assert docker("exec", container, "touch", "/written", check=False).returncode != 0
    models = docker("exec", project.containers("onnxruntime")[0], "touch", "/models/written", check=False)
    assert "Read-only file system" in models.stderr
    published = {service: inspect(project.containers(service)[0])["HostConfig"]["PortBindings"] for service in BACKENDS}
    assert published == {service: {} for service in BACKENDS}


def test_a_killed_backend_costs_only_what_was_in_flight_on_it(project):
    victim = "onnxruntime"
    (container,) = project.containers(victim)
    (address,) = project.addresses(8000)
    restarts = inspect(container)["RestartCount"]

    async def run():
        load = Load(address, f"/v2/models/{DIGITS}/infer", BODY, WORKERS)
        await load.until(lambda load: load.served_by[victim] >= 20)
        # All processes but the container's own init, as the kernel would when memory is over.
        await asyncio.to_thread(docker, "exec", container, "sh", "-c", "kill -9 -1", check=False)
        served = load.outcomes["ok"]
        await load.until(lambda load: load.outcomes["ok"] >= served + 200)  # the others go on
        await asyncio.to_thread(wait_until, lambda: inspect(container)["RestartCount"] == restarts + 1)
        count = load.served_by[victim]
        await load.until(lambda load: load.served_by[victim] >= count + 20)  # and it comes back
        await load.stop()
        return load

    load = asyncio.run(run())
    assert sum(load.failures_of.values()) <= WORKERS, load.errors
    assert all(count <= 1 for count in load.failures_of.values()), load.errors


def test_two_gateways_and_two_servers_share_the_work(project):
    project.compose("up", "--detach", "--no-build", "--no-recreate", "--scale", "gateway=2", "--scale", "onnxruntime=2")
    addresses = project.addresses(8000)
    assert len(set(addresses)) == 2
    wait_until(project.healthy, 120)

    def served():
        pages = [project.get("onnxruntime", 9002, "/metrics", index) for index in (0, 1)]
        return [_total(page, "gateway_request_duration_seconds_count{", f'model="{DIGITS}"') for page in pages]

    before = served()

    async def run():
        headers = {"x-gateway-backend": "onnxruntime"}
        loads = [Load(address, f"/v2/models/{DIGITS}/infer", BODY, 4, headers) for address in addresses]

        async def both_serve():
            while not all(now >= then + 50 for now, then in zip(await asyncio.to_thread(served), before, strict=True)):
                await asyncio.sleep(0.2)

        try:
            await asyncio.wait_for(both_serve(), 60)
        finally:
            for load in loads:
                await load.stop()
        return loads

    for load in asyncio.run(run()):
        assert load.outcomes.keys() == {"ok"}, load.errors
    wait_until(
        lambda: sorted(value for labels, value in project.query('up{job=~"gateway|onnxruntime"}')) == [1.0] * 4, 60
    )
    project.compose("up", "--detach", "--no-build", "--no-recreate", "--scale", "gateway=1", "--scale", "onnxruntime=1")


def _total(page, *parts):
    return sum(float(line.rpartition(" ")[2]) for line in page.splitlines() if all(part in line for part in parts))
