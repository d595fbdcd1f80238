"""Routing end to end: two versions of a model behind real front doors, chosen by rules, by key and by weight."""

import asyncio
import contextlib
import json
from collections import Counter

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from support import wire_clients as clients
from support.gateways import ENGINE, running, settings
from support.scaled_store import save_scaled

from gateway.config.settings import GatewayConfig
from gateway.core.tensors import Tensor

MODEL = "digits-mlp"
DOORS = {
    "oip-http": clients.oip_binary,
    "oip-grpc": clients.oip_grpc,
    "tfserving-grpc": clients.tfs_grpc,
    "tfserving-rest": clients.tfs_rest_columns,
    "torchserve-http": clients.torchserve_oip,
    "torchserve-grpc": clients.torchserve_oip_grpc,
}
FACTORS = {"1": 2.0, "2": 3.0}
GIVEN = Tensor.from_numpy("x", np.ones((1, 2), np.float32))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("store")
    for version, factor in FACTORS.items():
        save_scaled(root, factor, name=MODEL, version=version)
    return root


class Saying(clients.Target):
    """A target that is sent ``said`` with every request."""

    said = frozenset()  # pairs of names and values

    async def post(self, path, body, headers=()):
        return await super().post(path, body, {**dict(self.said), **dict(headers)})

    async def call(self, method, message, answer_class, **metadata):
        return await super().call(method, message, answer_class, **dict(self.said), **metadata)


@contextlib.asynccontextmanager
async def gateway(store, routing, **changes):
    """A gateway with two backends and two versions, and what clients need."""
    configuration = settings(
        store,
        {"left": ENGINE, "right": ENGINE},
        models=[MODEL, f"{MODEL}/1"],
        labels={MODEL: {"stable": 1, "canary": 2}},
        routing={MODEL: routing},
        **changes,
    )
    async with (
        running(configuration) as (app, front),
        aiohttp.ClientSession() as session,
        grpc.aio.insecure_channel(front["grpc"]) as channel,
    ):
        yield app, Saying(session, channel, front["http"])


async def version_of(target, door, **said):
    """The version that answers, by its factor."""
    target.said = {(name.replace("_", "-"), value) for name, value in said.items()}
    answer = await DOORS[door](target, MODEL, GIVEN)
    (version,) = [version for version, factor in FACTORS.items() if answer.to_numpy()[0, 0] == factor]
    return version


async def served_by(target, **said):
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})
    headers, _ = await target.post(f"/v2/models/{MODEL}/infer", body, {k.replace("_", "-"): v for k, v in said.items()})
    return headers["x-gateway-served-by"]


def routed(app, **labels):
    labels = {"model": MODEL, "outcome": "ok", **labels}
    return app.metrics.registry.get_sample_value("gateway_routed_total", labels) or 0


def test_rules_and_keys_mean_the_same_through_every_door(store):
    routing = {
        "versions": {"stable": 1, "canary": 1},
        "rules": [
            {"when": {"headers": {"X-Ring": {"prefix": "beta"}}}, "then": {"label": "canary"}},
            {"when": {"headers": {"x-ring": "old"}}, "then": {"version": 1}},
        ],
    }

    async def run():
        async with gateway(store, routing) as (app, target):
            for door in DOORS:
                assert await version_of(target, door, x_ring="beta-7") == "2"
                assert await version_of(target, door, x_ring="old") == "1"
            assert routed(app, version="2", by="rules.0") == len(DOORS)
            assert routed(app, version="1", by="rules.1") == len(DOORS)
            by_door = [
                [await version_of(target, door, x_gateway_route_key=f"client-{number}") for number in range(12)]
                for door in DOORS
            ]
            assert all(versions == by_door[0] for versions in by_door)
            assert set(by_door[0]) == {"1", "2"}
            without = Counter([await version_of(target, door) for door in DOORS for _ in range(6)])
            assert without["1"] == pytest.approx(18, abs=2)
            keyed = 12 * len(DOORS)
            assert routed(app, version="1", by="versions") + routed(app, version="2", by="versions") == keyed + 36

    uvloop.run(run())


def test_a_client_that_names_its_version_gets_it(store):
    routing = {"versions": {2: 1}, "rules": [{"when": {"headers": {"x-ring": "new"}}, "then": {"version": 2}}]}

    async def run():
        async with gateway(store, routing) as (_, target):
            target.said = {("x-ring", "new")}
            oip = await clients.oip_binary(target, MODEL, GIVEN, "/v2/models/{}/versions/1/infer")
            torchserve = await clients.oip_binary(target, MODEL, GIVEN, "/predictions/{}/1")
            assert oip.to_numpy()[0, 0] == torchserve.to_numpy()[0, 0] == FACTORS["1"]
            for path in ("versions/1", "labels/stable"):
                _, payload = await target.post(
                    f"/v1/models/{MODEL}/{path}:predict", json.dumps({"instances": [[1, 2]]})
                )
                assert json.loads(payload) == {"predictions": [[2, 4]]}
            assert await version_of(target, "oip-http", x_ring="new") == "2"

    uvloop.run(run())


def test_a_rule_may_look_at_a_parameter_and_choose_a_backend(store):
    rule = {"when": {"parameters": {"tier": {"regex": "gold|silver"}}}, "then": {"backend": "right", "version": 1}}

    async def run():
        async with gateway(store, {"rules": [rule]}) as (_, target):
            document = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
            for tier, backends, version in (("gold", {"right"}, "1"), ("iron", {"left", "right"}, "2")):
                answers = [
                    await target.post(
                        f"/v2/models/{MODEL}/infer", json.dumps({**document, "parameters": {"tier": tier}})
                    )
                    for _ in range(6)
                ]
                assert {headers["x-gateway-served-by"] for headers, _ in answers} == backends
                assert {json.loads(payload)["model_version"] for _, payload in answers} == {version}

    uvloop.run(run())


def test_a_canary_is_given_more_while_the_gateway_runs(store):
    async def run():
        async with gateway(store, {"versions": {1: 1, 2: 0}}) as (app, target):
            before = {await version_of(target, "oip-http") for _ in range(6)}
            changed = {MODEL: {"versions": {1: 0, 2: 1}, "policy": "fixed", "order": ["right"]}}
            current = app._settings.model_dump(mode="json")
            await app.reconfigure(GatewayConfig.model_validate({**current, "routing": changed}))
            after = {await version_of(target, "oip-http") for _ in range(6)}
            return before, after, {await served_by(target) for _ in range(6)}

    assert uvloop.run(run()) == ({"1"}, {"2"}, {"right"})


@pytest.mark.parametrize(
    ("routing", "expected"),
    [
        ({"policy": "fixed", "order": ["right", "left"]}, {"right": 20}),
        ({"policy": "weighted", "weights": {"left": 3, "right": 1}}, {"left": 15, "right": 5}),
    ],
)
def test_a_model_has_its_own_policy(store, routing, expected):
    async def run():
        async with gateway(store, routing) as (_, target):
            return Counter(await asyncio.gather(*[served_by(target) for _ in range(20)]))

    counts = uvloop.run(run())
    assert counts.keys() == expected.keys()
    assert counts["right"] == pytest.approx(expected["right"], abs=1)


@pytest.mark.parametrize("cache", [None, {}])
def test_a_key_sticks_to_a_backend_with_a_cache_too(store, cache):
    routing = {"policy": "weighted", "weights": {"left": 1, "right": 1}}

    async def ask(target, number, value):
        document = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [number, value]}]}
        headers, _ = await target.post(
            f"/v2/models/{MODEL}/infer", json.dumps(document), {"x-gateway-route-key": f"client-{number}"}
        )
        return headers["x-gateway-served-by"]

    async def run():
        async with gateway(store, routing, cache=cache) as (_, target):
            return [{await ask(target, number, value) for value in range(3)} for number in range(16)]

    seen = uvloop.run(run())
    assert all(len(backends) == 1 for backends in seen)
    assert set().union(*seen) == {"left", "right"}


@pytest.mark.parametrize("door", DOORS)
def test_a_hint_for_a_backend_that_does_not_serve_the_model_is_refused_with_those_that_do(store, door):
    async def run():
        async with gateway(store, {}) as (_, target):
            target.backend = "nobody"
            with pytest.raises(clients.Refused) as caught:
                await version_of(target, door)
            return caught.value

    refused = uvloop.run(run())
    assert refused.status in (400, grpc.StatusCode.INVALID_ARGUMENT)
    assert f"no backend 'nobody' serves model '{MODEL}'; known: left, right" in refused.message
