"""Shadows and comparisons in a real gateway: what is found, and that clients notice nothing."""

import asyncio
import contextlib
import gc
import io
import time
from dataclasses import replace

import aiohttp
import grpc
import msgspec
import numpy as np
import pytest
import uvloop
from support import wire_clients as clients
from support.echo import Echo, model_name
from support.gateways import ENGINE, running, settings
from support.scaled_store import save_scaled

from gateway import app as app_module
from gateway.core.tensors import Tensor
from model_store.manifest import load_manifest, save_manifest
from model_store.parity.tolerance import Tolerance

X = Tensor.from_numpy("x", np.array([[1, 2]], np.float32))
MODEL = model_name(X.datatype, 2)
FAKE = {"kind": "embedded", "engine": "onnxruntime", "models": [MODEL]}
BODY = {"id": "mine", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}


def run(coroutine):
    uvloop.run(asyncio.wait_for(coroutine, 60))


class Wrong(Echo):
    """Adds something to what it gives back; hangs where it is told to."""

    hangs = False
    off = 0.25

    async def __call__(self, request):
        if self.hangs:
            await asyncio.sleep(3600)
        response = await super().__call__(request)
        (y,) = response.outputs
        return replace(response, outputs=(Tensor.from_numpy(y.name, y.to_numpy() + np.float32(self.off)),))


@pytest.fixture
def fakes(monkeypatch):
    """Two backends: ``good`` and ``wrong``."""
    monkeypatch.setattr(app_module, "_build_backend", lambda name, *_: Wrong(name) if name == "wrong" else Echo(name))
    return {"good": FAKE, "wrong": FAKE}


class Client(clients.Target):
    def __init__(self, app, addresses, session, channel):
        super().__init__(session, channel, addresses["http"])
        self.app, self.admin = app, addresses["admin"]

    async def ask(self, model=MODEL, version="", **headers):
        """The output, and the headers of the answer."""
        path = f"/v2/models/{model}/versions/{version}/infer" if version else f"/v2/models/{model}/infer"
        async with self.session.post(f"http://{self.http}{path}", json=BODY, headers=headers) as answer:
            document = await answer.json()
            assert answer.status == 200, document
            return document["outputs"][0]["data"], answer.headers

    async def told(self, path, **options):
        async with self.session.get(f"http://{self.admin}{path}", **options) as answer:
            return answer.status, await (answer.json() if "json" in answer.content_type else answer.read())

    async def settled(self):
        """All copies are over."""
        while len(self.app._repository.mirroring.copies):
            await asyncio.sleep(0.005)

    def metric(self, name, **labels):
        return self.app.metrics.registry.get_sample_value(name, labels)

    def outcomes(self, target, model=MODEL):
        value = {
            outcome: self.metric("gateway_shadow_requests_total", model=model, target=target, outcome=outcome)
            for outcome in ("ok", "differs", "deadline_exceeded")
        }
        return {outcome: count for outcome, count in value.items() if count}

    def dropped(self, target, reason, model=MODEL):
        return self.metric("gateway_shadow_dropped_total", model=model, target=target, reason=reason)


@contextlib.asynccontextmanager
async def gateway(configuration):
    async with running(configuration) as (app, addresses), aiohttp.ClientSession() as session:
        async with grpc.aio.insecure_channel(addresses["grpc"]) as channel:
            yield Client(app, addresses, session, channel)


def shadowed(tmp_path, fakes, share=1.0, **changes):
    shadow = {MODEL: {"share": share, "backend": "wrong", **changes.pop("shadow", {})}}
    return settings(tmp_path, fakes, shadow=shadow, **changes)


def test_a_tenth_of_a_thousand_requests_is_held_against_another_backend(tmp_path, fakes):
    async def scenario():
        async with gateway(shadowed(tmp_path, fakes, 0.1, shadow={"concurrent": 1000, "busy": 1000})) as client:

            async def ask_hundred():
                for _ in range(100):
                    output, headers = await client.ask(**{"x-gateway-backend": "good"})
                    assert (output, headers["x-gateway-served-by"]) == ([1, 2], "good")

            await asyncio.gather(*(ask_hundred() for _ in range(10)))
            await client.settled()
            copies = client.outcomes("wrong")["differs"]
            assert client.outcomes("wrong") == {"differs": copies}
            assert 62 <= copies <= 138  # 4 standard deviations

            # The clients' own numbers know nothing of it, the backends' do.
            requests = {"protocol": "oip-http", "model": MODEL, "backend": "good", "outcome": "ok"}
            assert client.metric("gateway_request_duration_seconds_count", **requests) == 1000
            attempts = [
                client.metric("gateway_attempt_duration_seconds_count", backend=name, outcome="ok")
                for name in ("good", "wrong")
            ]
            assert attempts == [1000, copies]
            page = app_module.render(client.app.metrics.registry, "")[0].decode()
            assert 'protocol="shadow"' not in page

            labels = {"model": MODEL, "target": "wrong"}
            for side in ("primary", "target"):
                assert client.metric("gateway_shadow_duration_seconds_count", side=side, **labels) == copies
            assert client.metric("gateway_shadow_max_abs_diff_sum", **labels) == pytest.approx(copies * 0.25)
            assert client.metric("gateway_shadow_max_rel_diff_sum", **labels) == pytest.approx(copies * 0.25 / 2.25)
            assert client.metric("gateway_shadow_top1_agreements_total", **labels) == copies
            assert client.metric("gateway_shadow_top1_disagreements_total", **labels) == 0

            _, sums = await client.told("/shadow")
            told = sums[f"{MODEL}/1"]["wrong"]
            assert told["requests"] == {"differs": copies}
            assert (told["max_abs"], told["top1"]) == (0.25, {"rows": copies, "agreeing": copies})

    run(scenario())


def test_what_differs_can_be_fetched(tmp_path, fakes):
    async def scenario():
        async with gateway(shadowed(tmp_path, fakes, shadow={"samples": 2})) as client:
            for _ in range(3):
                await client.ask(**{"x-gateway-backend": "good"})
                await client.settled()
            _, listed = await client.told("/shadow/samples")
            assert [each["number"] for each in listed] == [2, 3]
            last = listed[-1]
            assert (last["model"], last["version"], last["target"], last["request_id"]) == (MODEL, "1", "wrong", "mine")
            assert last["backends"] == {"primary": "good", "target": "wrong"}
            assert last["outputs"]["y"]["max_abs"] == 0.25
            assert last["trace_id"]
            status, archive = await client.told("/shadow/samples/3")
            assert status == 200
            arrays = {name: array.tolist() for name, array in np.load(io.BytesIO(archive)).items()}
            assert arrays == {"input/x": [[1, 2]], "primary/y": [[1, 2]], "target/y": [[1.25, 2.25]]}
            status, error = await client.told("/shadow/samples/1")
            assert status == 404
            assert "sample 1 is not kept" in error["error"]

    run(scenario())


def test_equal_answers_are_counted_and_not_kept(tmp_path, fakes, monkeypatch):
    monkeypatch.setattr(Wrong, "off", 0.0)

    async def scenario():
        async with gateway(shadowed(tmp_path, fakes)) as client:
            await client.ask(**{"x-gateway-backend": "good"})
            await client.ask(**{"x-gateway-backend": "wrong"})  # who answers is not asked again
            await client.settled()
            assert client.outcomes("wrong") == {"ok": 1}
            assert client.dropped("wrong", "itself") == 1
            assert (await client.told("/shadow/samples")) == (200, [])

    run(scenario())


def test_a_target_that_hangs_costs_no_client_anything_and_no_shutdown(tmp_path, fakes, monkeypatch, caplog, capfd):
    monkeypatch.setattr(Wrong, "hangs", True)

    async def scenario():
        async with gateway(shadowed(tmp_path, fakes, shadow={"timeout": 600, "concurrent": 4})) as client:
            started = time.monotonic()
            for _ in range(50):
                output, _ = await client.ask(**{"x-gateway-backend": "good"})
                assert output == [1, 2]
            assert time.monotonic() - started < 10
            assert len(client.app._repository.mirroring.copies) == 4
            assert client.dropped("wrong", "full") == 46
            stopping = time.monotonic()
        assert time.monotonic() - stopping < 5
        assert len(client.app._repository.mirroring.copies) == 0

    run(scenario())
    gc.collect()
    assert "was destroyed" not in caplog.text + capfd.readouterr().err


def test_a_hit_of_the_cache_has_no_shadow(tmp_path, fakes):
    async def scenario():
        async with gateway(shadowed(tmp_path, {**fakes}, cache={}, routing={})) as client:
            await client.ask(**{"x-gateway-backend": "good"})  # goes past the cache
            await client.settled()
            first, _ = await client.ask()
            _, headers = await client.ask()
            assert headers["x-gateway-served-by"] == "cache"
            await client.settled()
            # Who answered the second one was either of the two.
            asked = sum(client.outcomes("wrong").values()) + client.dropped("wrong", "itself")
            assert (asked, len(first)) == (2, 2)

    run(scenario())


def two_versions(tmp_path, **changes):
    store = save_scaled(save_scaled(tmp_path, 2), 3, version="2")
    return settings(store, {"engine": ENGINE}, models=["scaled/1", "scaled/2"], **changes)


@pytest.mark.parametrize("target", [{"version": 2}, {"label": "next"}, {"version": "2", "backend": "engine"}])
def test_a_version_is_the_shadow_of_the_other(tmp_path, target):
    labels = {"scaled": {"next": "2"}}
    name = {"version": "version 2", "label": "label next", "backend": "version 2 on engine"}[[*target][-1]]

    async def scenario():
        shadow = {"scaled": {"share": 1, **target}}
        async with gateway(two_versions(tmp_path, shadow=shadow, labels=labels)) as client:
            assert (await client.ask("scaled", "1"))[0] == [2, 4]
            assert (await client.ask("scaled"))[0] == [3, 6]  # the shadow itself has none
            await client.settled()
            assert client.outcomes(name, "scaled") == {"differs": 1}
            _, (kept,) = await client.told("/shadow/samples")
            assert (kept["version"], kept["outputs"]["y"]["max_abs"]) == ("1", 2.0)
            async with client.session.get(f"http://{client.http}/v2/models/scaled/versions/2/stats") as answer:
                (stats,) = (await answer.json())["model_stats"]
            assert stats["inference_stats"]["success"]["count"] == 1  # its own client's
            await client.app._repository.unload("scaled")

    run(scenario())


@pytest.mark.parametrize(("absolute", "outcome"), [(1.0, "ok"), (0.99, "differs")])
def test_a_stored_model_may_differ_by_twice_what_its_manifest_allows(tmp_path, absolute, outcome):
    configuration = two_versions(tmp_path, shadow={"scaled": {"share": 1, "version": 2}})  # whose answers are 2 apart
    manifest = load_manifest(tmp_path / "scaled" / "1")
    tolerance = Tolerance(absolute=absolute)
    save_manifest(tmp_path / "scaled" / "1", msgspec.structs.replace(manifest, tolerance=tolerance))

    async def scenario():
        async with gateway(configuration) as client:
            await client.ask("scaled", "1")
            await client.settled()
            assert client.outcomes("version 2", "scaled") == {outcome: 1}

    run(scenario())


def test_the_tolerance_is_the_users_where_there_is_one(tmp_path):
    async def scenario():
        shadow = {"scaled": {"share": 1, "version": 2, "tolerance": {"rel": 0.34}}}
        async with gateway(two_versions(tmp_path, shadow=shadow)) as client:
            await client.ask("scaled", "1")
            await client.settled()
            assert client.outcomes("version 2", "scaled") == {"ok": 1}

    run(scenario())


def test_a_client_that_compares_is_told_what_the_others_say(tmp_path, fakes):
    configuration = settings(tmp_path, fakes, compare={MODEL: {}}, cache={})

    async def scenario():
        async with gateway(configuration) as client:
            _, plain = await client.ask()
            assert "x-gateway-compared" not in plain
            assert client.outcomes("wrong") == client.outcomes("good") == {}
            for _ in range(2):  # never from the cache
                _, headers = await client.ask(**{"x-gateway-compare": "1"})
                first, second = headers["x-gateway-compared"].split(", ")
                assert first.split(";")[0] == headers["x-gateway-served-by"] != second.split(";")[0]
                assert second.endswith(";diff=0.25")
                assert ";dur=" in first
            request = clients.message_class("inference.ModelInferRequest")(model_name=MODEL)
            given = request.inputs.add(name="x", datatype="FP32", shape=[1, 2])
            given.contents.fp32_contents.extend([1, 2])
            call = client.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(
                request.SerializeToString(), metadata=(("x-gateway-compare", "1"),)
            )
            await call
            trailing = dict(await call.trailing_metadata())
            assert trailing["x-gateway-compared"].endswith(";diff=0.25")
            async with client.session.post(
                f"http://{client.http}/v2/models/{MODEL}/infer", json=BODY, headers={"x-gateway-compare": "yes"}
            ) as answer:
                assert (answer.status, "x-gateway-compare: 0 or 1" in await answer.text()) == (400, True)

    run(scenario())


def filters(model):
    service, names = model.service, []
    while service is not None:
        names.append(type(service).__name__)
        service = getattr(service, "inner", None)
    return names


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"shadow": {MODEL: {"share": 0, "backend": "wrong"}}}, []),
        ({"shadow": {"other": {"share": 1, "version": 2}}}, []),
        ({"shadow": {MODEL: {"share": 1, "version": 1}}}, []),
        ({"shadow": {f"{MODEL}/1": {"share": 1, "version": 2}}}, ["Shadow"]),
        ({"shadow": {MODEL: {"share": 1, "backend": "wrong"}}, "compare": {MODEL: {}}}, ["Compare", "Shadow"]),
    ],
)
def test_what_is_switched_off_is_not_there(tmp_path, fakes, changes, expected):
    async def scenario():
        async with gateway(settings(tmp_path, fakes, **changes)) as client:
            (model,) = client.app._server.catalog
            assert [name for name in filters(model) if name in ("Shadow", "Compare")] == expected

    run(scenario())


def test_it_is_switched_on_and_off_while_the_gateway_runs(tmp_path, fakes):
    async def scenario():
        async with gateway(settings(tmp_path, fakes)) as client:

            async def patched(shadow):
                change = {"shadow": {MODEL: shadow}}
                async with client.session.patch(f"http://{client.admin}/config", json=change) as answer:
                    return answer.status, await answer.text()

            for shadow, copies in (({"share": 1, "backend": "wrong"}, 1), ({"share": 0.0}, 1), (None, 1)):
                assert (await patched(shadow))[0] == 200
                await client.ask(**{"x-gateway-backend": "good"})
                await client.settled()
                assert client.outcomes("wrong") == {"differs": copies}
            for shadow, key in (({"share": 2, "backend": "wrong"}, "share"), ({"share": 1, "backend": "c"}, "backend")):
                status, text = await patched(shadow)
                assert (status, f"shadow.{MODEL}.{key}" in text) == (400, True)

    run(scenario())
