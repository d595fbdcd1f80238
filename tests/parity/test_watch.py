"""The parity watch in real gateways with real engines."""

import asyncio

import numpy as np
import pytest
import structlog
from support.gateways import ENGINE, running, settings
from support.looped import looped
from support.scaled_store import add_sample, save_scaled
from support.virtual_time import run_virtual

from gateway.core.errors import Unavailable
from gateway.core.messages import InferResponse
from gateway.core.tensors import Tensor
from gateway.parity.watch import ParityWatch
from model_store.store import ModelStore


def make_store(root, *, factor=2, answer=2):
    """A model that multiplies by ``factor`` and whose source, so the store says, multiplied by ``answer``."""
    add_sample(save_scaled(root, factor), answer)
    return root


def embedded(store, **changes):
    return settings(store, {"engine": ENGINE}, **changes)


def value(app, name, **labels):
    return app.metrics.registry.get_sample_value(name, labels)


def checks(app, outcome):
    return value(app, "gateway_parity_checks_total", model="scaled", backend="engine", outcome=outcome)


async def check_once(app, timeout=10.0):
    await app._parity.check_all(timeout)


@looped
async def test_a_backend_that_answers_as_the_source_did_differs_by_nothing(tmp_path):
    async with running(embedded(make_store(tmp_path))) as (app, _):
        await check_once(app)
        assert value(app, "gateway_parity_max_abs_diff", model="scaled", backend="engine") == 0
        # 256 units in the last place of 4, the largest number in the answer.
        assert value(app, "gateway_parity_tolerance", model="scaled", backend="engine") == pytest.approx(
            256 * 2**-23 * 4
        )
        assert [checks(app, outcome) for outcome in ("ok", "differs", "failed")] == [1, 0, 0]


@looped
async def test_a_backend_that_answers_wrong_is_measured_and_named_once(tmp_path):
    async with running(embedded(make_store(tmp_path, factor=3))) as (app, _):
        with structlog.testing.capture_logs() as logs:
            await check_once(app)
            await check_once(app)
        assert value(app, "gateway_parity_max_abs_diff", model="scaled", backend="engine") == 2
        assert checks(app, "differs") == 2
        (told,) = [line for line in logs if line["log_level"] == "error"]
        assert (told["model"], told["version"], told["backend"]) == ("scaled", "1", "engine")
        assert "differ by 2 in 'y'" in told["reason"]


@looped
async def test_the_worst_version_stands_for_the_model(tmp_path):
    make_store(tmp_path)
    add_sample(save_scaled(tmp_path, 5, version="2"), 4, version="2")
    async with running(embedded(tmp_path, models=["scaled/1", "scaled/2"])) as (app, _):
        await check_once(app)
        assert value(app, "gateway_parity_max_abs_diff", model="scaled", backend="engine") == 2


@looped
async def test_a_check_is_no_request_of_a_client(tmp_path):
    async with running(embedded(make_store(tmp_path))) as (app, _):
        before = requests(app)
        await check_once(app)
        assert requests(app) == before
        assert app._server.catalog.get("scaled").statistics.success.count == 0


def requests(app):
    counted = ("gateway_request_duration_seconds_count", "gateway_attempt_duration_seconds_count")
    return [
        (sample.name, sample.labels, sample.value)
        for metric in app.metrics.registry.collect()
        for sample in metric.samples
        if sample.name in counted
    ]


@looped
async def test_a_backend_that_is_down_has_no_difference_and_is_not_asked(tmp_path):
    async with running(embedded(make_store(tmp_path), health={"interval": 1000})) as (app, _):
        await check_once(app)
        app._server.catalog.get("scaled").endpoints[0].mark_down("a test")
        await check_once(app)
        assert value(app, "gateway_parity_max_abs_diff", model="scaled", backend="engine") is None
        assert checks(app, "ok") == 1


@looped
async def test_no_answer_is_a_failed_check_and_no_difference(tmp_path):
    async with running(embedded(make_store(tmp_path))) as (app, _):

        async def refuse(request, /):
            raise Unavailable("not now")

        watch = ParityWatch(
            ModelStore(tmp_path), app._server.catalog, {"engine": named("engine", refuse)}, app._parity._recorder
        )
        await watch.check_all(10.0)
        assert checks(app, "failed") == 1
        assert value(app, "gateway_parity_max_abs_diff", model="scaled", backend="engine") is None


@looped
async def test_an_answer_that_never_comes_ends_with_the_time_limit(tmp_path):
    async with running(embedded(make_store(tmp_path))) as (app, _):

        async def hang(request, /):
            await asyncio.Event().wait()

        watch = ParityWatch(
            ModelStore(tmp_path), app._server.catalog, {"engine": named("engine", hang)}, app._parity._recorder
        )
        await watch.check_all(0.01)
        assert checks(app, "failed") == 1


@looped
async def test_what_is_allowed_stands_beside_each_backends_own_difference(tmp_path):
    configuration = settings(make_store(tmp_path), {"engine": ENGINE, "other": ENGINE})
    async with running(configuration) as (app, _):

        async def misshapen(request, /):
            return InferResponse("scaled", "1", (Tensor.from_numpy("y", np.zeros((1, 3), np.float32)),))

        backends = {"engine": app._backends["engine"], "other": named("other", misshapen)}
        watch = ParityWatch(ModelStore(tmp_path), app._server.catalog, backends, app._parity._recorder)
        await watch.check_all(10.0)
        allowed = [value(app, "gateway_parity_tolerance", model="scaled", backend=name) for name in backends]
        assert allowed == [pytest.approx(256 * 2**-23 * 4), 0]
        found = [value(app, "gateway_parity_max_abs_diff", model="scaled", backend=name) for name in backends]
        assert found == [0, float("inf")]


@looped
async def test_a_model_without_kept_answers_is_left_alone(tmp_path):
    async with running(embedded(save_scaled(tmp_path, 2))) as (app, _):
        await check_once(app)
        assert checks(app, "ok") is None


def test_the_rounds_keep_their_distance():
    async def count():
        rounds = []
        watch = ParityWatch.__new__(ParityWatch)

        async def check_all(timeout):
            rounds.append(asyncio.get_running_loop().time())

        watch.check_all = check_all
        task = asyncio.create_task(watch.run(60.0, 1.0))
        await asyncio.sleep(200)
        task.cancel()
        return rounds

    assert run_virtual(count()) == [60, 120, 180]


def named(name, service):
    service.name = name
    return service
