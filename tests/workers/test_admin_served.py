"""The admin port of a real gateway with two workers: what it shows is of both, and what it is told reaches both."""

import asyncio
import io
import json
import os
import signal

import aiohttp
import numpy as np
import pytest
from support.replica_servers import OverHTTP, free_port
from support.scaled_store import save_scaled
from support.served_workers import ENGINE, serving, write_config

from gateway.client import ClientError, get_json

PATH = "/v2/models/scaled/versions/1/infer"
BODY = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 120))


@pytest.fixture
def store(tmp_path):
    save_scaled(tmp_path / "store", 2)
    return save_scaled(tmp_path / "store", 3, version="2")


async def asked(served, number):
    """Requests over a connection each, so that both workers get some; how many each of them says it has had."""
    for _ in range(number):
        assert (await served.ask("POST", "http", PATH, json=BODY))[0] == 200
    shares = []
    for worker in await served.workers():
        stats = await get_json(worker["admin"], "/v2/models/scaled/versions/1/stats")
        shares.append(stats["model_stats"][0]["inference_count"])
    assert sum(shares) == number
    assert min(shares) > 0
    return shares


async def told(served, path):
    status, text = await served.get("admin", path)
    assert status == 200, text
    return json.loads(text)


async def fetched(served, path):
    """Status, headers and bytes."""
    url = f"http://{served.addresses['admin']}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.headers, await answer.read()


async def until(condition):
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.05)


def test_what_it_shows_is_of_both_workers(tmp_path, store):
    shadow = {"scaled/1": {"share": 1, "version": 2, "samples": 100}}
    config = write_config(
        tmp_path / "gateway.yaml", store, models=["scaled/1", "scaled/2"], shadow=shadow, parity=None, workers=2
    )

    async def scenario():
        async with serving(config) as served:
            shares = await asked(served, 40)
            stats = await told(served, "/v2/models/scaled/versions/1/stats")
            assert stats["model_stats"][0]["inference_count"] == 40
            every = (await told(served, "/v2/models/stats"))["model_stats"]
            assert {each["version"]: each["inference_count"] for each in every} == {"1": 40, "2": 0}
            (batch,) = every[0]["batch_stats"]
            assert (batch["batch_size"], batch["compute_infer"]["count"]) == (1, 40)
            await until(lambda: shadowed(served, 40))
            await samples(served, shares)
            await logging(served)

    async def shadowed(served, number):
        sums = (await told(served, "/shadow")).get("scaled/1", {}).get("version 2")
        return sums is not None and sums["requests"] == {"differs": number} and sums["max_abs"] == 2

    async def samples(served, shares):
        listed = await told(served, "/shadow/samples")
        assert len({each["number"] for each in listed}) == 40
        assert [sum(each["worker"] == worker for each in listed) for worker in (0, 1)] == shares
        assert listed == sorted(listed, key=lambda each: each["at"])
        for each in (listed[0], listed[-1]):
            status, headers, archive = await fetched(served, f"/shadow/samples/{each['number']}")
            assert (status, headers["x-gateway-worker"]) == (200, str(each["worker"]))
            assert f"shadow-{each['number']}.npz" in headers["content-disposition"]
            assert np.load(io.BytesIO(archive))["target/y"].tolist() == [[3, 6]]
        status, _, _ = await fetched(served, "/shadow/samples/100000")
        assert status == 404

    async def logging(served):
        assert (await served.ask("POST", "admin", "/v2/logging", json={"log_info": False}))[0] == 200
        assert await log_info(served) == [False, False, False]
        os.kill((await served.workers())[0]["pid"], signal.SIGKILL)
        await until(lambda: replaced(served))
        assert await log_info(served) == [False, False, False]  # also one that comes later

    async def log_info(served):
        found = [await told(served, "/v2/logging")]
        found += [await get_json(worker["admin"], "/v2/logging") for worker in await served.workers()]
        return [each["log_info"] for each in found]

    async def replaced(served):
        return [worker["restarts"] for worker in await served.workers() if worker["state"] == "ready"] == [1, 0]

    run(scenario())


def test_replicas_are_drained_in_both_and_in_a_worker_that_comes_later(tmp_path, store):
    async def scenario():
        server = await OverHTTP("127.0.0.1", free_port(), "scaled").start()
        servers = {"kind": "oip", "url": f"http://localhost:{server.port}", "models": ["scaled"]}
        backends = {"engine": ENGINE, "servers": servers, "same": servers}
        config = write_config(
            tmp_path / "gateway.yaml", store, models=["scaled/1"], backends=backends, parity=None, workers=2
        )
        async with serving(config) as served:
            state = (await told(served, "/backends"))["servers"]
            assert state["models"]["scaled"]["ready"], state
            address = "127.0.0.1"
            assert state["replicas"][address] == {"state": "up", "in_flight": 0}
            status, text = await served.ask("POST", "admin", f"/backends/servers/replicas/{address}/drain")
            assert (status, json.loads(text)[address]["state"]) == (200, "draining")
            assert await states(served, address) == ["draining", "draining"]
            os.kill((await served.workers())[1]["pid"], signal.SIGKILL)
            await served.until("worker ready", 3)
            await until(lambda: all_drained(served, address))
            assert await states(served, address, "same") == ["up", "up"]
        await server.kill()

    async def all_drained(served, address):
        try:
            return await states(served, address) == ["draining", "draining"]
        except ClientError:
            return False

    async def states(served, address, backend="servers"):
        found = [await get_json(worker["admin"], "/backends") for worker in await served.workers()]
        return [each[backend]["replicas"][address]["state"] for each in found]

    run(scenario())
