"""Each filter around a recording service; time is virtual."""

import asyncio

import numpy as np
import pytest
from support.services import Recording, echo, request
from support.virtual_time import run_virtual

from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import (
    BackendError,
    ConnectFailed,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
)
from gateway.core.messages import InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.statistics import ModelStatistics
from gateway.core.tensors import Tensor
from gateway.filters.attempt_metrics import AttemptMetrics
from gateway.filters.deadline import Deadline
from gateway.filters.metrics import Metrics
from gateway.filters.route import Route
from gateway.filters.statistics import Statistics
from gateway.filters.validate import Validate

SIGNATURE = Signature(
    (TensorSpec("x", Datatype.FP32, (-1, 2)),),
    (TensorSpec("y", Datatype.FP32, (-1, 2)), TensorSpec("z", Datatype.FP32, (-1,))),
)


def call(service, message):
    return asyncio.run(service(message))


class Recorder:
    """Takes the place of every recorder."""

    def __init__(self):
        self.events = []

    def __getattr__(self, name):
        return lambda *arguments: self.events.append((name, *arguments))


# metrics


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "ok"),
        (InvalidRequest("no"), "invalid_request"),
        (asyncio.CancelledError(), "cancelled"),
        (ZeroDivisionError(), "internal"),
    ],
)
def test_metrics_records_every_outcome_once(answer, outcome):
    recorder = Recorder()
    inner = Recording() if answer is None else Recording(answer)
    traceparent = "00-" + "a" * 32 + "-" + "b" * 16 + "-03"
    message = request(context=RequestContext("oip-http", backend_seconds=1e9, served_by="b", traceparent=traceparent))
    try:
        call(Metrics(inner, recorder), message)
    except BaseException as error:
        assert error is answer
    (name, protocol, model, backend, recorded, duration, overhead, trace_id), payload = recorder.events
    assert (name, protocol, model, backend, recorded) == ("request_finished", "oip-http", "m", "b", outcome)
    assert trace_id == "a" * 32
    assert payload == ("payload", "oip-http", 8, 8 if outcome == "ok" else None)
    assert duration > 0
    assert overhead == 0  # never negative, however the clocks were read


# deadline


def test_deadline_cancels_the_inner_service():
    cancelled = []

    async def never(_):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(DeadlineExceeded, match="within the deadline of 250 ms"):
        run_virtual(Deadline(never, 60)(request(context=RequestContext("test", timeout=0.25))))
    assert cancelled


def test_deadline_has_a_default():
    async def never(_):
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded, match="60000 ms"):
        run_virtual(Deadline(never, 60)(request()))


def test_an_expired_request_is_not_sent():
    inner = Recording()
    with pytest.raises(DeadlineExceeded, match="had passed"):
        call(Deadline(inner, 60), request(context=RequestContext("test", started=-1e6, timeout=1)))
    assert inner.requests == []


# route


def test_route_finds_the_models_stack_and_checks_the_version():
    inner = Recording()
    route = Route(Catalog([ServedModel("m", "1", "", SIGNATURE, 8, (), (), service=inner)]), {}, None)
    call(route, request())
    call(route, request(version="1"))
    assert len(inner.requests) == 2
    with pytest.raises(ModelNotFound, match="no version '2'; served: 1"):
        call(route, request(version="2"))
    with pytest.raises(ModelNotFound, match="unknown model 'q'; served: m"):
        call(route, request("q"))


# validate


def two_outputs(message):
    first = message.inputs[0]
    z = Tensor.from_numpy("z", np.ones(first.shape[0], np.float32))
    return InferResponse("theirs", "99", (z, Tensor("y", first.datatype, first.shape, first.data)), id="theirs")


def validated(answer=None, max_batch=8):
    async def inner(message):
        return two_outputs(message) if answer is None else answer

    return Validate(inner, ServedModel("m", "1", "", SIGNATURE, max_batch, (), ()))


def test_validate_orders_and_selects_outputs_and_names_the_answer_as_asked():
    response = call(validated(), request(id="mine"))
    assert [output.name for output in response.outputs] == ["y", "z"]
    assert (response.model, response.version, response.id) == ("m", "1", "mine")
    assert [output.name for output in call(validated(), request(outputs=("z",))).outputs] == ["z"]


def test_validate_refuses_before_the_backend():
    inner = Recording()
    service = Validate(inner, ServedModel("m", "1", "", SIGNATURE, 2, (), ()))
    for message, problem in [
        (request(array=np.zeros((1, 3), np.float32)), "shape"),
        (request(outputs=("q",)), "unknown output 'q'"),
        (request(array=np.zeros((3, 2), np.float32)), "batch size 3 is over the model's maximum of 2"),
    ]:
        with pytest.raises(InvalidRequest, match=problem):
            call(service, message)
    assert inner.requests == []


def test_validate_notices_a_missing_output():
    with pytest.raises(BackendError, match=r"did not give the outputs \['y', 'z'\]"):
        call(validated(InferResponse("m", "1", ())), request())


# statistics


def test_statistics_count_inferences_and_failures():
    statistics = ModelStatistics()
    service = Statistics(Recording(None, BackendError("no")), statistics, batched=True)
    service.inner = Recording(echo(request()), BackendError("no"))
    call(service, request(array=np.zeros((3, 2), np.float32)))
    with pytest.raises(BackendError):
        call(service, request())
    assert (statistics.inference_count, statistics.execution_count) == (3, 1)
    assert (statistics.success.count, statistics.fail.count) == (1, 1)
    assert statistics.success.ns >= statistics.compute.compute_input.ns > 0
    assert statistics.last_inference_ms > 0


# attempt metrics


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "ok"),
        (BackendError("x"), "backend_error"),
        (ConnectFailed("x"), "connect_failed"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyError(), "internal"),
    ],
)
def test_attempts_are_measured(answer, outcome):
    recorder, message = Recorder(), request()
    inner = Recording() if answer is None else Recording(answer)
    try:
        call(AttemptMetrics(inner, Endpoint("a", "m"), recorder), message)
    except BaseException as error:
        assert error is answer
    assert message.context.backend_seconds > 0
    assert [event[:2] for event in recorder.events] == [("attempt_started",), ("attempt_finished", outcome)]
    assert message.context.tried == (("a",) if outcome == "connect_failed" else ())
