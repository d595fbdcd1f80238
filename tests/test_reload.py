"""Change at run time, end to end: a gateway under load whose configuration changes, and loses nothing."""

import asyncio
import contextlib
import itertools
import json
from dataclasses import replace

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
import yaml
from support import wire_clients as clients
from support.gateways import ENGINE, FREE, running, settings
from support.looped import looped
from support.scaled_store import save_scaled
from support.tiny_store import make_store

from gateway.backends.embedded import EmbeddedBackend
from gateway.core.circuit import CircuitState
from gateway.core.tensors import Tensor
from gateway.reload.file import ConfigFile

REQUESTS, CLIENTS = 2000, 40


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


async def fetch(address, path, method="GET", body=None, **options):
    async with aiohttp.ClientSession() as session:
        async with session.request(method, f"http://{address}{path}", json=body, **options) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text.startswith("{") else text


async def patch(addresses, document, query=""):
    return await fetch(addresses["admin"], f"/config{query}", "PATCH", document)


@contextlib.asynccontextmanager
async def stack(store, **changes):
    """A server, a gateway before it that takes it for two, and what clients need."""
    async with contextlib.AsyncExitStack() as stack:
        upstream = settings(store, {"engine": ENGINE}, models=["double"])
        _, server = await stack.enter_async_context(running(upstream))
        backends = {name: {"kind": "oip", "url": f"http://{server['http']}"} for name in ("one", "two")}
        app, front = await stack.enter_async_context(running(settings(store, backends, models=["double"], **changes)))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(front["grpc"]))
        yield app, front, clients.Target(session, channel, front["http"])


async def ask(target, client, number):
    """One request with its own number, which must come back doubled."""
    array = np.full((1 + number % 3, 2), number, np.float32)
    answer = await client(target, "double", Tensor.from_numpy("x", array))
    assert answer.to_numpy().tolist() == (2 * array).tolist()


CHANGES = [
    {"backends": {"one": {"batching": {"lanes": {"min": 1, "max": 1}, "max_rows": 7}}}},
    {"retries": {"attempts": 2}},
    {"cache": {"bytes": 100_000}},
    {"backends": {"one": {"batching": None}}, "balancing": {"policy": "least_loaded"}},
    {"hedging": {"percentile": 0.5, "budget": 1}},
    {"cache": None, "hedging": None},
    {"backends": {"two": {"batching": {"lanes": {"min": 2, "max": 3}}}}},
    {"admission": {"limit": {"min": 64}}},
    {"routing": {"double": {"policy": "weighted", "weights": {"one": 1, "two": 3}}}},
    {"default_timeout": 20, "logs": {"access_sample": 0.5}},
    {"shadow": {"double": {"share": 0.2, "backend": "two"}}},
    {
        "admission": {"limit": {"min": 80}, "clients": {"rate": 1e6}},
        "routing": {"double": {"policy": "fixed", "order": ["two", "one"], "weights": None}},
    },
    {"admission": None, "routing": {"double": None}, "shadow": {"double": None}},
    {"backends": {"one": {"batching": {"lanes": {"max": 5}}}}, "balancing": {"policy": "peak_ewma"}},
]


def test_requests_under_way_are_neither_lost_nor_crossed(store):
    async def scenario():
        async with stack(store) as (app, front, target):
            done = changed = 0

            async def load(start):
                nonlocal done
                client = clients.oip_binary if start % 2 else clients.oip_grpc
                for number in range(start, REQUESTS, CLIENTS):
                    await ask(target, client, number)
                    done += 1

            async def change():
                nonlocal changed
                for document in itertools.cycle(CHANGES):
                    status, answer = await patch(front, document)
                    assert status == 200, answer
                    changed += 1
                    await asyncio.sleep(0.02)

            changing = asyncio.create_task(change())
            await asyncio.gather(*(load(start) for start in range(CLIENTS)))
            assert not changing.done()
            changing.cancel()
            await asyncio.wait([changing])
            assert (done, changed >= len(CHANGES)) == (REQUESTS, True)
            assert app._catalog.get("double").in_flight.count == 0
            assert app._catalog.get("double").statistics.fail.count == 0
            assert app._catalog.get("double").statistics.success.count == REQUESTS

    uvloop.run(asyncio.wait_for(scenario(), 100))


@looped
async def test_who_waits_in_a_queue_that_is_given_up_is_answered_and_metrics_do_not_double(store, monkeypatch):
    gate, engine = asyncio.Event(), EmbeddedBackend.__call__

    async def answer(backend, request):
        await gate.wait()
        return await engine(backend, request)

    monkeypatch.setattr(EmbeddedBackend, "__call__", answer)
    async with stack(store) as (app, front, target):
        value = app.metrics.registry.get_sample_value
        of = {"backend": "one"}
        one_lane = {"batching": {"lanes": {"min": 1, "max": 1}, "queue_size": 11}}
        assert (await patch(front, {"backends": {"one": one_lane, "two": one_lane}}))[0] == 200
        assert (value("gateway_batch_lanes", of), value("gateway_queue_limit", of)) == (1, 11)
        asking = [asyncio.create_task(ask(target, clients.oip_grpc, number)) for number in range(20)]
        while app._catalog.get("double").in_flight.count < 20:
            await asyncio.sleep(0.001)
        assert value("gateway_queue_depth", of) >= 8
        assert (await patch(front, {"backends": {"one": {"batching": {"queue_size": 12}}}}))[0] == 200
        assert value("gateway_queue_depth", of) >= 8
        gate.set()
        await asyncio.gather(*asking)
        assert (value("gateway_batch_lanes", of), value("gateway_queue_limit", of)) == (1, 12)
        assert (await patch(front, {"backends": {"one": {"batching": None}}}))[0] == 200
        assert (value("gateway_batch_lanes", of), value("gateway_queue_limit", of)) == (0, 0)


@looped
async def test_what_was_learned_of_backends_goes_on(store):
    async with stack(store) as (app, front, _):
        model = app._catalog.get("double")
        endpoint = model.endpoints[0]
        for _ in range(5):
            endpoint.circuit.failed(endpoint.circuit.generation, endpoint.clock())
        until = endpoint.circuit._until
        assert endpoint.circuit.state(endpoint.clock()) is CircuitState.OPEN
        status, _ = await patch(front, {"balancing": {"breaker": {"failures": 2}}, "retries": {"attempts": 2}})
        assert status == 200
        now = app._catalog.get("double")
        assert now.service is not model.service
        assert (now.endpoints[0], now.statistics, now.in_flight) == (endpoint, model.statistics, model.in_flight)
        assert (endpoint.circuit.state(0.0), endpoint.circuit._until) == (CircuitState.OPEN, until)
        other = now.endpoints[1].circuit
        other.failed(other.generation, 0.0)
        assert other.failed(other.generation, 0.0)  # two are enough now


@looped
async def test_budgets_and_what_clients_have_left_go_on(store):
    admission = {"clients": {"rate": 0.001, "burst": 2}}
    async with stack(store, hedging={}, admission=admission) as (app, front, _):
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}

        async def asked():
            return (await fetch(front["http"], "/v2/models/double/infer", "POST", body))[0]

        chances = app._catalog.get("double").chances
        assert [await asked(), await asked(), await asked()] == [200, 200, 429]
        assert (await patch(front, {"default_timeout": 20, "retries": {"attempts": 2}}))[0] == 200
        assert await asked() == 429
        now = app._catalog.get("double").chances
        assert (now.retries, now.hedges) == (chances.retries, chances.hedges)
        assert (await patch(front, {"retries": {"budget": 0.1}, "admission": {"clients": {"burst": 3}}}))[0] == 200
        assert app._catalog.get("double").chances.retries.share == 0.1
        assert [await asked() for _ in range(4)] == [200, 200, 200, 429]
        model = app._catalog.get("double")
        app._repository._serving.add(replace(model, chances=None))  # as when it is loaded anew
        assert app._catalog.get("double").chances == model.chances


@looped
async def test_answers_are_kept_as_long_as_the_settings_of_the_cache_are(store):
    async with stack(store, cache={}) as (app, front, target):
        value = app.metrics.registry.get_sample_value

        def asked(result):
            return value("gateway_cache_requests_total", {"model": "double", "result": result})

        await ask(target, clients.oip_grpc, 1)
        await patch(front, {"retries": {"attempts": 2}})
        await ask(target, clients.oip_grpc, 1)
        assert (asked("miss"), asked("hit"), value("gateway_cache_entries")) == (1, 1, 1)
        await patch(front, {"cache": {"bytes": 50_000}})
        assert (value("gateway_cache_entries"), value("gateway_cache_limit_bytes")) == (0, 50_000)
        await ask(target, clients.oip_grpc, 1)
        assert (asked("miss"), asked("hit"), value("gateway_cache_entries")) == (2, 1, 1)
        await patch(front, {"cache": None})
        assert (value("gateway_cache_entries"), value("gateway_cache_limit_bytes")) == (0, 0)
        await ask(target, clients.oip_grpc, 1)
        assert (asked("miss"), asked("hit")) == (2, 1)


@looped
async def test_timeouts_change_for_all_doors(store):
    async with stack(store) as (_, front, _):
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
        assert (await fetch(front["http"], "/v2/models/double/infer", "POST", body))[0] == 200
        assert (await patch(front, {"default_timeout": 1e-9}))[0] == 200
        assert (await fetch(front["http"], "/v2/models/double/infer", "POST", body))[0] == 504


@looped
async def test_labels_change_and_must_fit_the_store(tmp_path):
    save_scaled(save_scaled(tmp_path, 2), 3, version="2")
    labels = {"scaled": {"stable": "1"}}
    configuration = settings(tmp_path, {"e": ENGINE}, models=["scaled/1", "scaled/2"], labels=labels)
    async with running(configuration) as (_, front):

        async def predict():
            path = "/v1/models/scaled/labels/stable:predict"
            _, answer = await fetch(front["http"], path, "POST", {"instances": [[1.0, 1.0]]})
            return answer["predictions"]

        assert await predict() == [[2.0, 2.0]]
        status, answer = await patch(front, {"labels": {"scaled": {"stable": "2"}}}, "?dry_run=1")
        change = {"labels.scaled.stable": {"from": "1", "to": "2"}}
        assert (status, answer) == (200, {"changed": change, "dry_run": True})
        assert await predict() == [[2.0, 2.0]]
        assert await patch(front, {"labels": {"scaled": {"stable": "2"}}}) == (
            200,
            {"changed": change, "dry_run": False},
        )
        assert await predict() == [[3.0, 3.0]]
        status, answer = await patch(front, {"labels": {"scaled": {"stable": "7"}}})
        assert (status, answer["error"][:42]) == (400, "labels.scaled.stable: version '7' is not s")
        assert await predict() == [[3.0, 3.0]]


REFUSED = [
    ({"retries": {"attempts": 99}}, "", 400, "retries.attempts: "),
    ({"nope": 1}, "", 400, "nope: unknown key"),
    ({"http": {"port": 1}}, "", 409, "http.port: needs a restart"),
    ({"backends": {"one": {"url": "http://127.0.0.1:1"}}}, "", 409, "backends.one.url: needs a restart"),
    ({"backends": {"three": {"kind": "oip", "url": "http://h"}}}, "", 409, "backends.three: needs a restart"),
    ([], "", 400, "the patch: an object"),
    ({}, "?dry_run=yes", 400, "dry_run: 0 or 1"),
]


@looped
async def test_what_cannot_be_done_is_said_in_a_sentence(store):
    async with stack(store) as (_, front, _):
        before = await fetch(front["admin"], "/config")
        for document, query, status, problem in REFUSED:
            found, answer = await patch(front, document, query)
            assert (found, answer["error"][: len(problem)]) == (status, problem)
        for text in ("{", '{"a": NaN}', "", "[" * 5000):
            async with aiohttp.ClientSession() as session:
                async with session.patch(f"http://{front['admin']}/config", data=text) as answer:
                    assert (answer.status, (await answer.json())["error"][:10]) == (400, "the patch:")
            deep = '{"a":' * 900 + "1" + "}" * 900
        async with aiohttp.ClientSession() as session:
            async with session.patch(f"http://{front['admin']}/config", data=deep) as answer:
                assert answer.status == 400
            async with session.patch(f"http://{front['admin']}/config", data=b" " * (2**20 + 1)) as answer:
                assert answer.status == 413
        status, answer = await fetch(front["admin"], "/config/reload", "POST")
        assert (status, answer["error"][:16]) == (409, "there is no file")
        assert await fetch(front["admin"], "/config") == before
        for method, path in (("GET", "/config"), ("PATCH", "/config"), ("POST", "/config/reload")):
            assert (await fetch(front["http"], path, method))[0] == 404  # not on the data port


@looped
async def test_a_file_is_obeyed_as_it_changes_unless_it_is_wrong(store, tmp_path):
    path = tmp_path / "gateway.yaml"
    document = {
        **dict.fromkeys(("http", "grpc", "metrics", "admin"), FREE),
        "model_store": str(store),
        "models": ["double"],
        "backends": {"engine": ENGINE},
        "drain": {"grace": 0.0},
    }

    def write(**changes):
        other = tmp_path / "new"
        other.write_text(yaml.safe_dump({**document, **changes}))
        other.replace(path)

    write()
    file = ConfigFile(path, {})
    async with running(file.load(), file) as (app, front):

        async def attempts():
            return (await fetch(front["admin"], "/config"))[1]["retries"]["attempts"]

        async def until(trigger, outcome):
            labels = {"trigger": trigger, "outcome": outcome}
            while not app.metrics.registry.get_sample_value("gateway_config_reloads_total", labels):
                await asyncio.sleep(0.02)

        write(retries={"attempts": 4})
        await until("file", "applied")
        assert await attempts() == 4
        write(retries={"attempts": 0})
        await until("file", "refused")
        status, answer = await fetch(front["admin"], "/config/reload", "POST")
        assert (status, answer["error"].startswith(f"{path}: retries.attempts: ")) == (400, True)
        assert await attempts() == 4
        assert (await patch(front, {"retries": {"attempts": 7}}))[0] == 200
        write(retries={"attempts": 5})
        status, answer = await fetch(front["admin"], "/config/reload", "POST")
        assert (status, answer["changed"]) == (200, {"retries.attempts": {"from": 7, "to": 5}})
