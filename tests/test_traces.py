"""One request through two gateways is one tree of spans in a collector, whatever is spoken on the way."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from support import wire_clients
from support.collector import collecting
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

from gateway.codecs import oip_grpc
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from gateway.telemetry import otel

CLIENT = "00f067aa0ba902b7"
X = Tensor.from_numpy("x", np.array([[1, 2]], np.float32))
OIP_RPC = "inference.GRPCInferenceService/ModelInfer"
TFS_RPC = "tensorflow.serving.PredictionService/Predict"
TORCHSERVE_RPC = "org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"
HTTP = {"url.scheme": "http", "http.request.method": "POST", "http.response.status_code": 200}
RPC = {"rpc.system.name": "grpc", "rpc.response.status_code": "OK"}

# Client → what its span is called, and what it says of the protocol.
DOORS = {
    wire_clients.oip_binary: (
        "oip-http",
        "POST /v2/models/{name}/infer",
        HTTP | {"url.path": "/v2/models/double/infer"},
    ),
    wire_clients.oip_grpc: ("oip-grpc", OIP_RPC, RPC),
    wire_clients.tfs_rest_rows: (
        "tfserving-rest",
        "POST /v1/models/{name}:predict",
        HTTP | {"url.path": "/v1/models/double:predict"},
    ),
    wire_clients.tfs_grpc: ("tfserving-grpc", TFS_RPC, RPC),
    wire_clients.torchserve_oip: (
        "torchserve-http",
        "POST /predictions/{name}",
        HTTP | {"url.path": "/predictions/double"},
    ),
    wire_clients.torchserve_oip_grpc: ("torchserve-grpc", TORCHSERVE_RPC, RPC),
}
# Backend → what the server behind it was asked.
TRANSPORTS = {
    "oip-http": "POST /v2/models/{name}/versions/{version}/infer",
    "oip-grpc": OIP_RPC,
    "tfs-rest": "POST /v1/models/{name}/versions/{version}:predict",
    "tfs-grpc": TFS_RPC,
    "torchserve-http": "POST /predictions/{name}",
    "torchserve-grpc": TORCHSERVE_RPC,
}


@dataclass
class Traced(wire_clients.Target):
    """A target that is sent ``trace`` as headers or metadata."""

    trace: dict = field(default_factory=dict)

    async def post(self, path, body, headers=()):
        return await super().post(path, body, {**self.trace, **dict(headers)})

    async def call(self, method, message, answer_class, **metadata):
        return await super().call(method, message, answer_class, **self.trace, **metadata)


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in production
        yield runner


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def collector():
    with pytest.MonkeyPatch.context() as patch, collecting() as (collector, url):
        patch.setattr(otel, "_BATCH_SECONDS", 0.01)
        collector.url = url
        yield collector


@pytest.fixture(scope="module")
def start(loop, store, collector):
    """Start a gateway that is traced as ``service``; returns its addresses and what stops it."""
    exits = contextlib.AsyncExitStack()

    def begin(service, backends, **changes):
        tracing = {"endpoint": collector.url, "service": service, "sample": 0}
        context = running(settings(store, backends, models=["double"], **{"tracing": tracing, **changes}))
        _, addresses = loop.run(exits.enter_async_context(context))
        return addresses

    yield begin
    loop.run(exits.aclose())


@pytest.fixture(scope="module")
def front(start):
    """A gateway in front of a model server, which it reaches by every transport."""
    server = start("server", {"engine": ENGINE})
    url, rpc = f"http://{server['http']}", server["grpc"]
    return start(
        "front",
        {
            "oip-http": {"kind": "oip", "url": url},
            "oip-grpc": {"kind": "oip", "protocol": "grpc", "grpc": rpc},
            "tfs-rest": {"kind": "tfserving", "protocol": "rest", "url": url},
            "tfs-grpc": {"kind": "tfserving", "grpc": rpc},
            "torchserve-http": {"kind": "torchserve", "url": url},
            "torchserve-grpc": {"kind": "torchserve", "protocol": "grpc", "url": url, "grpc": rpc},
        },
    )


@pytest.fixture
def trace():
    return f"{np.random.default_rng().integers(2**63):032x}"


@pytest.fixture
def ask(loop):
    """Send ``X`` by a wire client, with the trace context of a client that records its own spans."""

    def send(client, addresses, trace, backend="", flags="01", model="double"):
        async def sent():
            async with aiohttp.ClientSession() as session, grpc.aio.insecure_channel(addresses["grpc"]) as channel:
                headers = {"traceparent": f"00-{trace}-{CLIENT}-{flags}", "tracestate": "vendor=7,other=x"}
                target = Traced(session, channel, addresses["http"], backend, headers)
                return (await client(target, model, X)).to_numpy().tolist()

        return loop.run(sent())

    return send


def arrived(collector, trace, count):
    """The spans of ``trace``, once ``count`` of them are there, by when they began."""
    spans = collector.wait_for(lambda spans: sum(span.trace == trace for span in spans) >= count)
    return sorted((span for span in spans if span.trace == trace), key=lambda span: span.start)


@pytest.mark.parametrize("client", DOORS, ids=lambda client: client.__name__)
def test_every_door_takes_the_clients_trace(collector, front, ask, trace, client):
    protocol, name, attributes = DOORS[client]
    ask(client, front, trace, "oip-http")
    root = arrived(collector, trace, 4)[0]
    assert (root.service, root.name, root.kind, root.parent) == ("front", name, "server", CLIENT)
    assert root.state == "vendor=7,other=x"
    assert root.failed == ""
    told = {"gateway.protocol": protocol, "gateway.model": "double", "gateway.version": "1", "gateway.outcome": "ok"}
    assert root.attributes.items() >= (attributes | told | {"gateway.backend": "oip-http"}).items()
    assert root.attributes["rpc.method" if protocol.endswith("grpc") else "http.route"] == name.removeprefix("POST ")


def test_every_message_of_a_stream_has_a_span(loop, collector, front, trace):
    async def stream():
        async with grpc.aio.insecure_channel(front["grpc"]) as channel:
            call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
            good = oip_grpc.encode_request(InferRequest("double", (X,), RequestContext("test")))
            bad = oip_grpc.encode_request(InferRequest("nope", (X,), RequestContext("test")))
            metadata = (("traceparent", f"00-{trace}-{CLIENT}-01"), ("x-gateway-backend", "oip-grpc"))
            return [answer async for answer in call(iter([good, bad, good]), metadata=metadata)]

    assert len(loop.run(stream())) == 3
    roots = [span for span in arrived(collector, trace, 9) if span.parent == CLIENT]
    assert {span.name for span in roots} == {"inference.GRPCInferenceService/ModelStreamInfer"}
    assert sorted(span.attributes["gateway.outcome"] for span in roots) == ["model_not_found", "ok", "ok"]


@pytest.mark.parametrize("backend", TRANSPORTS)
def test_every_transport_hands_the_attempts_span_on(collector, front, ask, trace, backend):
    assert ask(wire_clients.oip_json, front, trace, backend) == [[2, 4]]
    root, attempt, server, engine = arrived(collector, trace, 4)
    assert collector.tree(trace) == [
        (
            "front",
            "POST /v2/models/{name}/infer",
            "ok",
            [
                (
                    "front",
                    f"attempt {backend}",
                    "ok",
                    [("server", TRANSPORTS[backend], "ok", [("server", "attempt engine", "ok", [])])],
                )
            ],
        )
    ]
    assert [span.kind for span in (root, attempt, server, engine)] == ["server", "client", "server", "internal"]
    assert {span.state for span in (root, attempt, server, engine)} == {"vendor=7,other=x"}
    for outer, inner in [(root, attempt), (attempt, server), (server, engine)]:
        assert outer.start <= inner.start <= inner.end <= outer.end


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_retry_is_a_second_attempt_beside_the_first(loop, store, start, collector, ask, trace, protocol):
    client, name = {
        "http": (wire_clients.oip_json, "POST /v2/models/{name}/infer"),
        "grpc": (wire_clients.oip_grpc, OIP_RPC),
    }[protocol]
    asked = {"http": TRANSPORTS["oip-http"], "grpc": OIP_RPC}[protocol]
    live = start("live", {"engine": ENGINE})
    going = running(settings(store, {"engine": ENGINE}, models=["double"]))
    _, gone = loop.run(going.__aenter__())

    def backend(addresses):
        return {"kind": "oip", "protocol": protocol, "url": f"http://{addresses['http']}", "grpc": addresses["grpc"]}

    # Only a request finds out that a server is gone.
    front = start("front", {"gone": backend(gone), "live": backend(live)}, health={"interval": 3600})
    loop.run(going.__aexit__(None, None, None))
    for _ in range(2):  # backends take turns
        assert ask(client, front, trace) == [[2, 4]]
    arrived(collector, trace, 9)
    answered = ("front", "attempt live", "ok", [("live", asked, "ok", [("live", "attempt engine", "ok", [])])])
    trees = collector.tree(trace)
    assert sorted(trees, key=str) == sorted(
        [
            ("front", name, "ok", [("front", "attempt gone", "connect_failed", []), answered]),
            ("front", name, "ok", [answered]),
        ],
        key=str,
    )


@pytest.mark.parametrize("client", [wire_clients.oip_json, wire_clients.oip_grpc], ids=lambda client: client.__name__)
def test_a_refused_request_has_a_span_that_did_not_fail(collector, front, ask, trace, client):
    with pytest.raises(wire_clients.Refused):
        ask(client, front, trace, model="nope")
    (span,) = arrived(collector, trace, 1)
    assert span.attributes["gateway.outcome"] == "model_not_found"
    assert span.attributes["gateway.model"] == "nope"
    assert span.attributes.items() & {("http.response.status_code", 404), ("rpc.response.status_code", "NOT_FOUND")}
    assert span.failed == ""


@pytest.mark.parametrize("client", [wire_clients.oip_json, wire_clients.oip_grpc], ids=lambda client: client.__name__)
def test_a_failure_of_the_server_fails_its_span(loop, store, start, collector, ask, trace, client):
    going = running(settings(store, {"engine": ENGINE}, models=["double"]))
    _, gone = loop.run(going.__aenter__())
    front = start("front", {"gone": {"kind": "oip", "url": f"http://{gone['http']}"}}, health={"interval": 3600})
    loop.run(going.__aexit__(None, None, None))
    with pytest.raises(wire_clients.Refused):
        ask(client, front, trace, "gone")
    root, attempt = arrived(collector, trace, 2)
    assert (root.attributes["gateway.outcome"], root.attributes["error.type"]) == ("connect_failed", "connect_failed")
    assert root.failed == attempt.failed == "backend 'gone' refused the connection"


def test_what_no_client_can_have_meant_is_no_reason_to_refuse(loop, front):
    async def ask():
        body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})
        headers = [("traceparent", "\u00e4"), ("traceparent", "2"), ("tracestate", "\u00e4=,"), ("tracestate", "")]
        async with aiohttp.ClientSession() as session:
            async with session.post(
                f"http://{front['http']}/v2/models/double/infer", data=body, headers=headers
            ) as answer:
                return answer.status

    assert loop.run(ask()) == 200


def test_what_the_client_does_not_record_nobody_records(collector, front, ask, trace):
    ask(wire_clients.oip_json, front, trace, flags="00")
    ask(wire_clients.oip_grpc, front, trace, flags="00")
    marker = "1" * 32
    ask(wire_clients.oip_json, front, marker)
    arrived(collector, marker, 4)  # those that came before are there too
    assert not [span for span in collector.spans if span.trace == trace]


def test_a_gateway_that_is_not_traced_leaves_no_gap(collector, start, ask, trace):
    server = start("server", {"engine": ENGINE})
    silent = start("silent", {"oip": {"kind": "oip", "url": f"http://{server['http']}"}}, tracing=None)
    ask(wire_clients.oip_json, silent, trace)
    assert arrived(collector, trace, 2)[0].parent == CLIENT
