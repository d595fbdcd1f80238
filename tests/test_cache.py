"""The response cache in a real gateway, with the real ONNX Runtime."""

import asyncio
import contextlib

import aiohttp
import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton
import uvloop
from support import wire_clients as clients
from support.echo import Echo, model_name
from support.gateways import ENGINE, running, settings
from support.scaled_store import save_scaled

from gateway import app as app_module
from gateway.config.file import ConfigError, load_config
from gateway.core.tensors import Tensor

ONES = Tensor.from_numpy("x", np.ones((1, 2), np.float32))
BODY = {"id": "mine", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 1]}]}


def run(coroutine):
    uvloop.run(asyncio.wait_for(coroutine, 60))


def embedded(store, **changes):
    return settings(store, {"engine": ENGINE}, **{"cache": {}, "control": {"loopback": True}, **changes})


@contextlib.asynccontextmanager
async def gateway(configuration):
    """The app, and a client of it."""
    async with running(configuration) as (app, addresses), aiohttp.ClientSession() as session:
        async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
            yield Client(app, addresses, session, channel)


class Client(clients.Target):
    def __init__(self, app, addresses, session, channel):
        super().__init__(session, channel, addresses["http"])
        self.app, self.addresses = app, addresses

    async def ask(self, **headers):
        """The factor of the model, and who told it."""
        url = f"http://{self.http}/v2/models/scaled/infer"
        async with self.session.post(url, json=BODY, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            assert answer.headers["server-timing"].startswith("queue;dur=0.000, ")
            document = await answer.json()
        assert (document["id"], document["model_name"]) == ("mine", "scaled")
        return document["outputs"][0]["data"][0], answer.headers["x-gateway-served-by"]

    async def get(self, path):
        async with self.session.get(f"http://{self.http}{path}") as answer:
            return await answer.json()

    def metric(self, name, **labels):
        return self.app.metrics.registry.get_sample_value(name, labels)

    def results(self):
        names = ("hit", "miss", "joined", "bypass")
        return [self.metric("gateway_cache_requests_total", model="scaled", result=result) for result in names]


def test_an_equal_request_is_answered_from_memory(tmp_path):
    async def scenario():
        async with gateway(embedded(save_scaled(tmp_path, 2))) as client:
            assert client.results() == [0, 0, 0, 0]
            assert await client.ask() == (2, "engine")
            assert await client.ask() == (2, "cache")
            assert client.results() == [1, 1, 0, 0]
            assert client.metric("gateway_cache_entries") == 1
            limit, used = client.metric("gateway_cache_limit_bytes"), client.metric("gateway_cache_bytes")
            assert limit == 256 * 2**20 > used > 0
            assert (await client.get("/v2/models/scaled/config"))["response_cache"] == {"enable": True}
            (told,) = (await client.get("/v2/models/scaled/stats"))["model_stats"]
            counts = {name: each["count"] for name, each in told["inference_stats"].items()}
            expected = {"success": 2, "fail": 0, "queue": 2, "compute_infer": 1, "cache_hit": 1, "cache_miss": 1}
            assert {name: counts[name] for name in expected} == expected
            assert (told["inference_count"], told["execution_count"]) == (1, 1)

    run(scenario())


def test_it_is_off_by_default(tmp_path):
    async def scenario():
        async with gateway(embedded(save_scaled(tmp_path, 2), cache=None)) as client:
            for _ in range(2):
                assert await client.ask() == (2, "engine")
            assert (await client.get("/v2/models/scaled/config"))["response_cache"] == {"enable": False}
            assert client.results() == [None] * 4

    run(scenario())


def test_a_client_can_ask_for_a_backend_or_for_a_fresh_answer(tmp_path):
    async def scenario():
        async with gateway(embedded(save_scaled(tmp_path, 2))) as client:
            await client.ask()
            assert await client.ask(**{"x-gateway-backend": "engine"}) == (2, "engine")
            assert await client.ask(**{"Cache-Control": "max-age=0, No-Cache"}) == (2, "engine")
            assert await client.ask(**{"cache-control": "max-age=0"}) == (2, "cache")
            async with triton.InferenceServerClient(client.addresses["grpc"]) as other:
                given = triton.InferInput("x", [1, 2], "FP32")
                given.set_data_from_numpy(np.ones((1, 2), np.float32))
                await other.infer("scaled", [given], headers={"cache-control": "no-store"})
            assert client.results() == [1, 1, 0, 3]

    run(scenario())


def test_an_answer_is_kept_for_every_protocol(tmp_path):
    async def scenario():
        async with gateway(embedded(save_scaled(tmp_path, 2))) as client:
            await client.ask()
            for ask in (clients.oip_json, clients.oip_binary, clients.oip_grpc, clients.oip_grpc_typed,
                        clients.tfs_rest_columns, clients.tfs_rest_rows, clients.tfs_grpc, clients.tfs_grpc_typed,
                        clients.torchserve_oip, clients.torchserve_oip_grpc):  # fmt: skip
                assert (await ask(client, "scaled", ONES)).to_numpy().tolist() == [[2, 2]]
            assert client.results() == [10, 1, 0, 0]

    run(scenario())


def test_a_model_that_is_loaded_anew_or_unloaded_leaves_nothing_behind(tmp_path):
    async def scenario():
        store = save_scaled(tmp_path, 2)
        async with gateway(embedded(store)) as client:
            assert [await client.ask() for _ in range(2)] == [(2, "engine"), (2, "cache")]
            save_scaled(store, 3)  # the same version, built anew
            await client.app._repository.load("scaled")
            assert client.metric("gateway_cache_entries") == 0
            assert [await client.ask() for _ in range(2)] == [(3, "engine"), (3, "cache")]
            await client.app._repository.unload("scaled")
            assert client.metric("gateway_cache_entries") == client.metric("gateway_cache_bytes") == 0

    run(scenario())


def test_a_model_of_a_servers_that_is_loaded_anew_gives_no_old_answers(tmp_path):
    async def scenario():
        store = save_scaled(tmp_path / "up", 2)
        async with running(embedded(store, cache=None)) as (_, addresses):
            server = {"kind": "oip", "url": f"http://{addresses['http']}"}
            async with gateway(settings(tmp_path / "nothing", {"up": server}, cache={})) as client:
                assert [await client.ask() for _ in range(2)] == [(2, "up"), (2, "cache")]
                save_scaled(store, 3)  # its inputs and outputs are as before
                await client.app._repository.load("scaled")
                assert [await client.ask() for _ in range(2)] == [(3, "up"), (3, "cache")]

    run(scenario())


class Held(Echo):
    """A backend that answers nobody before it is let go."""

    def __init__(self, name):
        super().__init__(name)
        self.calls, self.let_go = 0, asyncio.Event()

    async def __call__(self, request):
        self.calls += 1
        await self.let_go.wait()
        return await super().__call__(request)


async def until(condition):
    """Wait for what a request under way will bring about; the test's own time limit ends it."""
    while not condition():
        await asyncio.sleep(0.005)


def test_a_client_that_goes_away_takes_nobodys_answer_along(tmp_path, monkeypatch):
    model = model_name(ONES.datatype, 2)
    monkeypatch.setattr(app_module, "_build_backend", lambda name, *_: Held(name))

    async def scenario():
        held = {"kind": "embedded", "engine": "onnxruntime", "models": [model]}
        async with gateway(settings(tmp_path, {"held": held}, cache={})) as client:
            backend, (served,) = client.app._backends["held"], client.app._server.catalog
            async with aiohttp.ClientSession() as leaving:
                first = clients.Target(leaving, client.channel, client.http)
                asking = [asyncio.create_task(clients.oip_binary(target, model, ONES)) for target in (first, client)]
                await until(lambda: served.in_flight.count == 2 and backend.calls)
                asking[0].cancel()
                await until(lambda: served.in_flight.count == 1)
            backend.let_go.set()
            assert (await asking[1]).data == ONES.data
            assert backend.calls == 1

    run(scenario())


def test_only_the_models_that_are_named_have_one(tmp_path):
    async def scenario():
        async with gateway(embedded(save_scaled(tmp_path, 2), cache={"models": ["other"]})) as client:
            assert [await client.ask() for _ in range(2)] == [(2, "engine")] * 2

    run(scenario())


def test_no_backend_may_be_called_as_the_cache_is(tmp_path):
    path = tmp_path / "gateway.yaml"
    text = "backends: {cache: {kind: oip, url: 'http://127.0.0.1:9'}}\n"
    path.write_text(text)
    load_config(path, {})
    path.write_text(text + "cache: {}\n")
    with pytest.raises(ConfigError, match=r"backends\.cache: while there is a cache"):
        load_config(path, {})
