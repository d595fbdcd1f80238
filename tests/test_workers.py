"""Several workers behind the same ports: real processes, real sockets, the real ONNX Runtime."""

import asyncio
import json
import os
import signal

import grpc
import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support.load import Load
from support.scaled_store import save_scaled
from support.served_workers import serving, spawn, write_config

from gateway.codecs import oip_grpc
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor

PATH = "/v2/models/scaled/infer"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
CALL = InferRequest("scaled", (Tensor.from_numpy("x", np.ones((1, 2), np.float32)),), RequestContext("test"))
OPEN = {"Accept": "application/openmetrics-text; version=1.0.0"}


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 90))


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / "gateway.yaml", save_scaled(tmp_path / "store", 2))


async def call_grpc(address):
    """One call over a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        return await channel.unary_unary(oip_grpc.INFER_METHOD)(oip_grpc.encode_request(CALL), timeout=20)


def counts(families):
    """Answered requests by worker and protocol."""
    return {
        (sample.labels["worker"], sample.labels["protocol"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "gateway_request_duration_seconds_count"
    }


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_two_workers_are_one_gateway(config):
    async def scenario():
        async with serving(config, "--workers", "2") as served:
            assert len(served.logged("serving")) == 1
            assert served.addresses["workers"] == 2
            workers = await served.workers()
            assert [worker["state"] for worker in workers] == ["ready", "ready"]
            assert served.process.pid not in {worker["pid"] for worker in workers}
            for path in ("/livez", "/readyz", "/backends"):
                assert (await served.get("admin", path))[0] == 200

            for _ in range(40):  # each over a connection of its own, which the kernel gives to either
                status, text = await served.ask("POST", "http", PATH, json=BODY)
                assert (status, json.loads(text)["outputs"][0]["data"]) == (200, [2, 4])
                await call_grpc(served.addresses["grpc"])
            for parse, headers in ((parse_text, {}), (parse_openmetrics, OPEN)):
                _, page = await served.get("metrics", "/metrics", headers=headers)
                found = counts(parse(page))
                assert found.keys() == {(worker, door) for worker in "01" for door in ("oip-http", "oip-grpc")}
                assert sum(found.values()) == 80
                assert sum(value for (_, door), value in found.items() if door == "oip-grpc") == 40

            await one_changes_nothing(served)
            await a_change_reaches_both(served)
            await nothing_outlives_a_killed_parent(served)

    async def one_changes_nothing(served):
        for listener in ("http", "admin"):
            status, text = await served.ask("POST", listener, "/v2/repository/models/scaled/unload")
            assert status == 501
            assert "with several workers" in text

    async def a_change_reaches_both(served):
        status, text = await served.ask("PATCH", "admin", "/config", json={"default_timeout": 7})
        assert (status, json.loads(text)["changed"]) == (200, {"default_timeout": {"from": 60.0, "to": 7.0}})
        assert await timeouts(served) == [7, 7]
        config.write_text(config.read_text() + "default_timeout: 8\n")
        served.process.send_signal(signal.SIGHUP)
        await served.until("configuration applied", 6)  # parent and workers, twice
        assert await timeouts(served) == [8, 8]
        status, text = await served.ask("PATCH", "admin", "/config", json={"http": {"port": 1}})
        assert (status, json.loads(text)["error"]) == (409, "http.port: needs a restart")
        status, _ = await served.ask("PATCH", "admin", "/config", json={"labels": {"scaled": {"best": "9"}}})
        assert status == 400
        assert await timeouts(served) == [8, 8]
        # One that comes later knows it too.
        os.kill((await served.workers())[1]["pid"], signal.SIGKILL)
        await served.until("worker ready", 3)
        assert await timeouts(served) == [8, 8]

    async def nothing_outlives_a_killed_parent(served):
        pids = [worker["pid"] for worker in await served.workers()]
        served.process.kill()
        async with asyncio.timeout(20):
            while not all(gone(pid) for pid in pids):
                await asyncio.sleep(0.05)
        await served.exit_code()
        assert len(served.logged("drained")) == 2

    async def timeouts(served):
        found = []
        for worker in await served.workers():
            served.addresses = {**served.addresses, "one": worker["admin"]}
            found.append(json.loads((await served.get("one", "/config"))[1])["default_timeout"])
        return found

    run(scenario())


def test_a_killed_worker_is_replaced_and_a_drain_loses_nothing(config):
    async def scenario():
        async with serving(config, "--workers", "2") as served:
            load = await loaded(served)
            await one_is_killed(served, load)
            await load.stop()

            load = await loaded(served)
            await one_drains(served, load)
            # As a service manager does it, and a terminal: all processes get the signal, and some get two.
            pids = [worker["pid"] for worker in await served.workers()]
            for pid in pids:
                os.kill(pid, signal.SIGINT)
                os.kill(pid, signal.SIGTERM)
            assert await served.end() == 0
            await load.until(lambda load: load.outcomes["refused"] > 0)
            await load.stop()
            assert set(load.outcomes) == {"ok", "refused"}, (load.outcomes, load.errors)
            assert len(served.logged("drained")) == 3
            assert all(map(gone, pids))

    async def loaded(served):
        load = Load(served.addresses["http"], PATH, BODY, 16)
        await load.until(lambda load: load.outcomes["ok"] >= 200)
        return load

    async def one_is_killed(served, load):
        victim, other = await served.workers()
        os.kill(victim["pid"], signal.SIGKILL)
        assert (await served.until("worker ended"))["how"] == "killed by SIGKILL"
        await asyncio.sleep(0.2)  # until the clients have noticed too
        lost, answered = dict(load.failures_of), load.outcomes["ok"]
        await served.until("worker ready", 3)
        assert set(load.outcomes) <= {"ok", "ServerDisconnectedError", "ClientOSError"}, load.outcomes
        # A client has one request in flight, and may come back while the kernel still takes the dead one apart.
        assert load.failures_of == lost
        assert max(lost.values(), default=0) <= 2
        assert len(lost) < 16
        assert load.outcomes["ok"] > answered + 100
        replaced, same = await served.workers()
        assert (replaced["restarts"], same["restarts"], same["pid"]) == (1, 0, other["pid"])
        assert replaced["pid"] != victim["pid"]

    async def one_drains(served, load):
        os.kill((await served.workers())[1]["pid"], signal.SIGTERM)
        await served.until("worker ready", 4)
        assert set(load.outcomes) == {"ok"}, (load.outcomes, load.errors)

    run(scenario())


def test_a_second_signal_ends_all_at_once_although_a_worker_hangs(tmp_path, config):
    write_config(config, tmp_path / "store", workers=2, parity=None, drain={"grace": 60, "timeout": 60})

    async def scenario():
        async with serving(config) as served:
            pids = [worker["pid"] for worker in await served.workers()]
            os.kill(pids[0], signal.SIGSTOP)
            served.process.send_signal(signal.SIGINT)
            await served.until("draining")
            served.process.send_signal(signal.SIGINT)
            assert await served.exit_code() == 0
            assert all(map(gone, pids))

    run(scenario())


def test_a_start_that_fails_says_why_once(tmp_path, config):
    async def scenario():
        write_config(config, tmp_path / "store", workers=2, models=["nope"])
        process = await spawn(config)
        _, output = await asyncio.wait_for(process.communicate(), 60)
        (error,) = [line for line in output.decode().splitlines() if not line.startswith("{")]
        assert error.startswith("error: model 'nope' is not in the store")
        assert process.returncode == 1

    run(scenario())
