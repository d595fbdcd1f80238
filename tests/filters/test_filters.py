"""Each filter around a recording service; time is virtual."""

import asyncio

import numpy as np
import pytest
from support.services import Recording, echo, request
from support.virtual_time import run_virtual

from gateway.core.backend import Endpoint, Load
from gateway.core.capabilities import EVERYTHING
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import (
    BackendError,
    BackendNotFound,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    NoHealthyBackend,
)
from gateway.core.messages import InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.statistics import ModelStatistics
from gateway.core.tensors import Tensor
from gateway.filters.attempt_metrics import AttemptMetrics
from gateway.filters.balance import Balance, Candidate
from gateway.filters.deadline import Deadline
from gateway.filters.metrics import Metrics
from gateway.filters.retry import RetryOnConnectFailure
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
    route = Route(Catalog([ServedModel("m", "1", "", SIGNATURE, 8, (), (), service=inner)]))
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


# retry and balance


def healthy(name):
    endpoint = Endpoint(name, "m")
    endpoint.mark_healthy()
    return endpoint


class Carrier:
    """What a candidate needs of a backend."""

    def __init__(self, capabilities=EVERYTHING):
        self.capabilities = capabilities


def candidate(endpoint, service, capabilities=EVERYTHING):
    return Candidate(endpoint, Carrier(capabilities), service)


def endpoints(*names):
    return [candidate(healthy(name), Recording()) for name in names]


def served_by(service, count=1, **context):
    names = []
    for _ in range(count):
        message = request(context=RequestContext("test", **context))
        call(service, message)
        names.append(message.context.served_by)
    return names


def test_balance_takes_turns_among_equals():
    assert sorted(served_by(Balance("m", endpoints("a", "b", "c")), 6)) == ["a", "a", "b", "b", "c", "c"]


def test_balance_prefers_the_fewest_in_flight():
    pairs = endpoints("a", "b", "c")
    for pair, busy in zip(pairs, (2, 1, 5), strict=True):
        pair.endpoint.load = Load(busy)
    assert served_by(Balance("m", pairs), 3) == ["b"] * 3


def test_balance_leaves_out_unhealthy_and_tried_backends():
    pairs = endpoints("a", "b", "c")
    pairs[0].endpoint.mark_down("broken")
    assert served_by(Balance("m", pairs), 4, tried=("b",)) == ["c"] * 4
    pairs[2].endpoint.mark_down("gone")
    with pytest.raises(NoHealthyBackend, match=r"a: broken; b: tried; c: gone"):
        served_by(Balance("m", pairs), tried=("b",))


def test_a_backend_that_lost_a_connection_is_avoided_until_its_next_check():
    pairs = endpoints("a", "b")
    lost = AttemptMetrics(Recording(ConnectionLost("gone")), pairs[0].endpoint, Recorder())
    with pytest.raises(ConnectionLost):
        call(lost, request())
    balance = Balance("m", pairs)
    assert served_by(balance, 3) == ["b"] * 3
    assert served_by(balance, tried=("b",)) == ["a"]  # better than nobody
    pairs[0].endpoint.mark_healthy()
    assert set(served_by(balance, 4)) == {"a", "b"}


def test_a_named_backend_is_used_even_when_it_is_down():
    pairs = endpoints("a", "b")
    pairs[1].endpoint.mark_down("broken")
    assert served_by(Balance("m", pairs), 3, backend="b") == ["b"] * 3


def test_an_unknown_backend_is_refused_with_the_known_ones():
    with pytest.raises(BackendNotFound, match="no backend 'q' serves model 'm'; known: a, b"):
        served_by(Balance("m", endpoints("a", "b")), backend="q")


def test_a_refused_connection_goes_on_to_the_next_backend_once():
    recorder = Recorder()
    a, b = healthy("a"), healthy("b")
    refusing = Recording(*[ConnectFailed("refused")] * 9)
    fine = Recording()
    pairs = [
        candidate(endpoint, AttemptMetrics(inner, endpoint, Recorder()))
        for endpoint, inner in ((a, refusing), (b, fine))
    ]
    service = RetryOnConnectFailure(Balance("m", pairs), recorder)
    assert served_by(service, 3) == ["b"] * 3
    assert recorder.events == [("retried", "connect_failed")]
    assert not a.healthy  # and so it was asked only once
    assert len(refusing.requests) == 1

    two_down = [
        candidate(endpoint, AttemptMetrics(Recording(ConnectFailed(endpoint.backend)), endpoint, Recorder()))
        for endpoint in (healthy("x"), healthy("y"), healthy("z"))
    ]
    with pytest.raises(ConnectFailed):
        served_by(RetryOnConnectFailure(Balance("m", two_down), recorder))
    assert sorted(each.endpoint.healthy for each in two_down) == [False, False, True]  # two tries, not three


def test_a_pinned_request_is_not_sent_elsewhere():
    recorder, fine = Recorder(), Recording()
    pairs = [
        candidate(healthy("a"), Recording(ConnectFailed("no"))),
        candidate(healthy("b"), fine),
    ]
    with pytest.raises(ConnectFailed):
        served_by(RetryOnConnectFailure(Balance("m", pairs), recorder), backend="a")
    assert fine.requests == []
    assert recorder.events == []


def test_other_failures_are_not_retried():
    recorder, inner = Recorder(), Recording(BackendError("no"))
    with pytest.raises(BackendError):
        call(RetryOnConnectFailure(inner, recorder), request())
    assert len(inner.requests) == 1


# attempt metrics


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (None, "ok"),
        (BackendError("x"), "backend_error"),
        (asyncio.CancelledError(), "cancelled"),
        (KeyError(), "internal"),
    ],
)
def test_attempts_are_measured_and_leave_no_load_behind(answer, outcome):
    endpoint, recorder = healthy("a"), Recorder()
    in_flight = []

    async def inner(message):
        in_flight.append(endpoint.load.in_flight)
        if answer is not None:
            raise answer
        return echo(message)

    message = request()
    try:
        call(AttemptMetrics(inner, endpoint, recorder), message)
    except BaseException as error:
        assert error is answer
    assert in_flight == [1]
    assert endpoint.load.in_flight == 0
    assert endpoint.healthy
    assert message.context.backend_seconds > 0
    assert [event[:2] for event in recorder.events] == [("attempt_started",), ("attempt_finished", outcome)]
