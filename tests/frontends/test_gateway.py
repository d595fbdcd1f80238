"""Real gateways with the real ONNX Runtime and small models, asked over real sockets with unmodified clients."""

import asyncio
import contextlib
import json

import aiohttp
import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton_grpc
import tritonclient.http.aio as triton_http
import uvloop
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from support.gateways import ENGINE, running, settings
from support.strategies import tensors
from support.tiny_store import CARRIED, make_store

from gateway.codecs import oip_grpc, oip_http
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, RequestContext
from gateway.protos.loader import message_class

DOUBLE = "/v2/models/double/infer"
RAW = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["hello"]}
GOOD = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in production
        yield runner


@pytest.fixture(scope="module")
def stack(store, loop):
    """Addresses of a gateway in front of two model servers: one OIP, one TensorFlow Serving's protocol.

    Three gateways in one loop: the model servers are gateways with an embedded engine, as in production.
    """
    exits = contextlib.AsyncExitStack()

    async def start():
        _, oip = await exits.enter_async_context(running(settings(store, {"engine": ENGINE})))
        _, tfs = await exits.enter_async_context(running(settings(store, {"engine": ENGINE}, protocols=["tfserving"])))
        backends = {
            "oip": {"kind": "oip", "url": f"http://{oip['http']}"},
            "tfs": {"kind": "tfserving", "grpc": tfs["grpc"]},
            "here": ENGINE,
        }
        changes = {
            "protocols": ["oip", "tfserving"],
            "limits": {"body_bytes": 100_000},
            "balancing": {"policy": "least_loaded"},  # which leaves none out, however slow it is
        }
        app, front = await exits.enter_async_context(running(settings(store, backends, **changes)))
        return app, front

    yield loop.run(start())
    loop.run(exits.aclose())


@pytest.fixture(scope="module")
def front(stack):
    return stack[1]


async def exchange(address, method, path, body=None, headers=None):
    """Status, headers and body of one exchange, on a connection of its own."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    async with aiohttp.ClientSession() as session:
        async with session.request(method, f"http://{address}{path}", data=data, headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()


@pytest.fixture
def http(loop, front):
    def ask(method, path, body=None, headers=None):
        return loop.run(exchange(front["http"], method, path, body, headers))

    return ask


@pytest.fixture
def rpc(loop, front):
    """Call a unary method with raw bytes; returns bytes and trailing metadata, raises AioRpcError."""

    def ask(method, data, metadata=()):
        async def call():
            async with grpc.aio.insecure_channel(front["grpc"]) as channel:
                running_call = channel.unary_unary(method)(data, metadata=metadata)
                return await running_call, dict(await running_call.trailing_metadata())

        return loop.run(call())

    return ask


# the protocol, as its clients see it


@pytest.mark.parametrize("backend", ["oip", "tfs", "here"])
def test_tritonclient_infers_over_http(loop, front, backend):
    async def ask():
        async with triton_http.InferenceServerClient(front["http"]) as client:
            given = triton_http.InferInput("x", [1, 2], "FP32")
            given.set_data_from_numpy(np.array([[1, 2]], np.float32))
            answer = await client.infer("double", [given], request_id="7", headers={"x-gateway-backend": backend})
            return answer.as_numpy("y").tolist(), answer.get_response()["id"]

    assert loop.run(ask()) == ([[2, 4]], "7")


@pytest.mark.parametrize("backend", ["oip", "tfs", "here"])
def test_tritonclient_infers_over_grpc(loop, front, backend):
    async def ask():
        async with triton_grpc.InferenceServerClient(front["grpc"]) as client:
            given = triton_grpc.InferInput("x", [1, 2], "FP32")
            given.set_data_from_numpy(np.array([[1, 2]], np.float32))
            answer = await client.infer("double", [given], request_id="7", headers={"x-gateway-backend": backend})
            return answer.as_numpy("y").tolist(), answer.get_response().id

    assert loop.run(ask()) == ([[2, 4]], "7")


def test_both_protocols_tell_the_same_of_server_and_model(loop, front):
    async def ask():
        async with triton_http.InferenceServerClient(front["http"]) as http_client:
            over_http = [
                await http_client.get_server_metadata(),
                await http_client.get_model_metadata("pair", "1"),
                await http_client.get_model_config("pair"),
                await http_client.is_server_live(),
                await http_client.is_server_ready(),
                await http_client.is_model_ready("pair"),
            ]
            http_statistics = await http_client.get_inference_statistics("pair")
        async with triton_grpc.InferenceServerClient(front["grpc"]) as grpc_client:
            over_grpc = [
                await grpc_client.get_server_metadata(as_json=True),
                await grpc_client.get_model_metadata("pair", "1", as_json=True),
                (await grpc_client.get_model_config("pair", as_json=True))["config"],
                await grpc_client.is_server_live(),
                await grpc_client.is_server_ready(),
                await grpc_client.is_model_ready("pair"),
            ]
            grpc_statistics = await grpc_client.get_inference_statistics("pair", as_json=True)
        return over_http, over_grpc, http_statistics, grpc_statistics

    over_http, over_grpc, http_statistics, grpc_statistics = loop.run(ask())
    # protobuf's JSON writes int64 as strings, and leaves out what is false or zero.
    told = ("name", "platform", "backend", "max_batch_size", "output")
    config = over_http[2]
    over_http[2], over_grpc[2] = ({key: answer[2][key] for key in told} for answer in (over_http, over_grpc))
    assert json.loads(json.dumps(over_grpc).replace('"-1"', "-1").replace('"2"', "2")) == over_http
    over_http[2] = config
    assert over_http[1]["inputs"][0] == {"name": "a", "datatype": "FP32", "shape": [-1, 2]}
    assert over_http[2]["max_batch_size"] == 8
    assert over_http[2]["input"][0]["dims"] == [2]  # without the batch dimension
    assert http_statistics["model_stats"][0]["name"] == grpc_statistics["model_stats"][0]["name"] == "pair"


def test_statistics_count_real_requests(http):
    def counts():
        status, _, body = http("GET", "/v2/models/double/versions/1/stats")
        assert status == 200
        return json.loads(body)["model_stats"][0]

    before = counts()
    two = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [3, 2], "data": [1] * 6}]}
    assert http("POST", DOUBLE, two)[0] == 200
    assert http("POST", DOUBLE, {"inputs": []})[0] == 400
    after = counts()
    assert after["inference_count"] - before["inference_count"] == 3
    assert after["execution_count"] - before["execution_count"] == 1
    stats, earlier = after["inference_stats"], before["inference_stats"]
    assert stats["fail"]["count"] - earlier["fail"]["count"] == 1
    assert stats["success"]["ns"] > earlier["success"]["ns"]
    assert stats["compute_infer"]["ns"] > earlier["compute_infer"]["ns"]


def test_grpc_health_and_reflection(loop, front):
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

    async def health(service):
        async with grpc.aio.insecure_channel(front["grpc"]) as channel:
            return (
                await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
            ).status

    def reflect():
        with grpc.insecure_channel(front["grpc"]) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            file = database.FindFileContainingSymbol("inference.GRPCInferenceService")
            return set(database.get_services()), [service.name for service in file.service]

    assert loop.run(health("")) == loop.run(health("inference.GRPCInferenceService")) == 1
    services, found = loop.run(_in_thread(reflect))
    assert "inference.GRPCInferenceService" in services
    assert "grpc.health.v1.Health" in services
    assert found == ["GRPCInferenceService"]


async def _in_thread(function):
    return await asyncio.to_thread(function)


# every datatype, bit for bit


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(tensor=tensors(datatypes=CARRIED))
def test_every_datatype_comes_back_bit_for_bit_over_every_way(loop, front, tensor):
    flat = (len(tensor.to_numpy().ravel()),)
    sent = type(tensor)("x", tensor.datatype, flat, tensor.data)
    if flat[0] > 8:
        sent = type(tensor)("x", tensor.datatype, (8,), bytes(tensor.data)[: 8 * tensor.datatype.itemsize])
    request = InferRequest(f"same-{tensor.datatype}", (sent,), RequestContext("test"))

    async def over_http(backend):
        body, length = oip_http.encode_request(request)
        headers = {oip_http.HEADER_LENGTH: str(length), "x-gateway-backend": backend}
        status, answered, body = await exchange(
            front["http"], "POST", oip_http.infer_path(request.model), body, headers
        )
        assert status == 200, body
        return oip_http.decode_response(body, int(answered[oip_http.HEADER_LENGTH]))

    async def over_grpc(backend):
        async with grpc.aio.insecure_channel(front["grpc"]) as channel:
            call = channel.unary_unary(oip_grpc.INFER_METHOD)
            return oip_grpc.decode_response(
                await call(oip_grpc.encode_request(request), metadata=(("x-gateway-backend", backend),))
            )

    for ask in (over_http, over_grpc):
        for backend in ("oip", "tfs", "here"):
            (output,) = loop.run(ask(backend)).outputs
            assert (output.datatype, output.shape) == (sent.datatype, sent.shape)
            assert bytes(output.data) == bytes(sent.data)


# hints and measurements


def test_answers_say_who_served_and_where_the_time_went(http, rpc):
    status, headers, _ = http("POST", DOUBLE, GOOD, {"x-gateway-backend": "tfs"})
    assert status == 200
    assert headers["x-gateway-served-by"] == "tfs"
    parts = [part.split(";")[0] for part in headers["server-timing"].split(", ")]
    assert parts == ["queue", "batch", "backend", "gateway"]

    request, _ = oip_http.decode_request(json.dumps(GOOD).encode(), None, "double", "", RequestContext("t"), Limits())
    _, trailing = rpc(oip_grpc.INFER_METHOD, oip_grpc.encode_request(request), (("x-gateway-backend", "here"),))
    assert trailing["x-gateway-served-by"] == "here"
    assert "backend;dur=" in trailing["server-timing"]


def test_requests_spread_over_the_healthy_backends(http):
    served = {http("POST", DOUBLE, GOOD)[1]["x-gateway-served-by"] for _ in range(6)}
    assert served == {"oip", "tfs", "here"}


# bad input

BAD_HTTP = [
    ("POST", "/v2/models/nope/infer", GOOD, {}, 404, "unknown model 'nope'"),
    ("POST", "/v2/models/double/versions/9/infer", GOOD, {}, 404, "no version '9'"),
    ("POST", "/v2/models/a%2Fb/infer", GOOD, {}, 404, "unknown model 'a/b'"),
    ("POST", DOUBLE, GOOD, {"x-gateway-backend": "nope"}, 400, "no backend 'nope'"),
    ("POST", DOUBLE, GOOD, {"x-gateway-timeout-ms": "soon"}, 400, "x-gateway-timeout-ms"),
    ("POST", DOUBLE, GOOD, {"x-gateway-timeout-ms": "-1"}, 400, "x-gateway-timeout-ms"),
    ("POST", DOUBLE, GOOD, {"Inference-Header-Content-Length": "-5"}, 400, "Inference-Header-Content-Length"),
    ("POST", DOUBLE, GOOD, {"Inference-Header-Content-Length": "5000"}, 400, "5000 is more than the body"),
    ("POST", DOUBLE, GOOD, {"Content-Encoding": "br"}, 501, "Content-Encoding"),
    ("POST", DOUBLE, b"\0" * 100_001, {}, 413, "body: 100001 bytes are over the limit of 100000"),
    ("POST", DOUBLE, b"{" * 50, {}, 400, "JSON"),
    ("POST", DOUBLE, b"[" * 50_000, {}, 400, "nested deeper than 100 levels"),
    ("POST", DOUBLE, b'{"inputs": "\xff"}', {}, 400, "JSON"),
    ("POST", DOUBLE, {"inputs": []}, {}, 400, "'x' is missing"),
    ("POST", DOUBLE, {"inputs": GOOD["inputs"] * 2}, {}, 400, "duplicate"),
    ("POST", DOUBLE, {"inputs": [GOOD["inputs"][0] | {"name": "q"}]}, {}, 400, "unknown input 'q'"),
    ("POST", DOUBLE, {"inputs": [RAW]}, {}, 400, "unknown input 'text'"),  # the model declares no preprocessing
    ("POST", DOUBLE, {"inputs": [GOOD["inputs"][0] | {"datatype": "INT8"}]}, {}, 400, "datatype INT8"),
    ("POST", DOUBLE, {"inputs": [GOOD["inputs"][0] | {"shape": [2]}]}, {}, 400, "rank 1"),
    ("POST", DOUBLE, {"inputs": [GOOD["inputs"][0] | {"shape": [2, 1]}]}, {}, 400, "shape [2, 1]"),
    ("POST", DOUBLE, {"inputs": [GOOD["inputs"][0] | {"shape": [3, 2]}]}, {}, 400, "do not match shape [3, 2]"),
    ("POST", DOUBLE, GOOD | {"outputs": [{"name": "q"}]}, {}, 400, "unknown output 'q'"),
    ("GET", DOUBLE, None, {}, 405, "POST is expected"),
    ("POST", "/v2/health/live", b"", {}, 405, "method not allowed"),
    ("GET", "/nothing", None, {}, 404, "unknown path '/nothing'"),
    ("GET", "/v2/models/nope", None, {}, 404, "unknown model 'nope'"),
    ("POST", "/v1/models/double:predict", {"instances": [[1, 2, 3]]}, {}, 400, "shape [1, 3]"),
    ("POST", "/v1/models/double:predict", {"inputs": [[1, 2]], "instances": [[1, 2]]}, {}, 400, "exactly one"),
]


@pytest.mark.parametrize(("method", "path", "body", "headers", "status", "problem"), BAD_HTTP)
def test_bad_http_gets_a_precise_error_and_the_connection_lives_on(
    loop, front, stack, method, path, body, headers, status, problem
):
    async def ask():
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(f"http://{front['http']}", connector=connector) as session:
            data = json.dumps(body).encode() if isinstance(body, dict) else body
            async with session.request(method, path, data=data, headers=headers) as answer:
                got = answer.status, json.loads(await answer.read())
            async with session.post(DOUBLE, json=GOOD) as answer:
                assert answer.status == 200
        return got

    attempts = _attempts(stack[0])
    got_status, document = loop.run(ask())
    assert got_status == status
    assert problem in document["error"]
    assert _attempts(stack[0]) == attempts + 1  # only the good request reached a backend


HEAD = f"POST {DOUBLE} HTTP/1.1\r\nHost: x\r\n".encode()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (HEAD + b"X: " + b"a" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}", b"431"),
        (HEAD + b"X: a\r\n" * 20_000 + b"Content-Length: 2\r\n\r\n{}", b"431"),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
        (HEAD + b"X: " + b"a" * 200_000, b"431"),  # a head that never ends
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", b"400"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n{\r\n" * 100_001 + b"0\r\n\r\n", b"413"),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400"),
    ],
)
def test_malformed_http_is_refused_and_the_server_lives_on(loop, front, http, request_bytes, status):
    async def ask():
        reader, writer = await asyncio.open_connection(*front["http"].split(":"))
        with contextlib.suppress(ConnectionError):
            writer.write(request_bytes)
            await writer.drain()
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        return line

    assert loop.run(ask()).split()[1] == status
    assert http("POST", DOUBLE, GOOD)[0] == 200


def _attempts(app):
    return sum(
        sample.value
        for metric in app.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "gateway_attempt_duration_seconds_count"
    )


def _infer_message(**changes):
    message = message_class("inference.ModelInferRequest")(model_name=changes.pop("model", "double"), **changes)
    message.inputs.add(name="x", datatype="FP32", shape=[1, 2])
    return message


def test_bad_grpc_gets_the_right_code(rpc, stack):
    both = _infer_message(raw_input_contents=[b"\0" * 8])
    both.inputs[0].contents.fp32_contents.extend([1, 2])
    large = _infer_message(raw_input_contents=[b"\0" * 200_000])
    cases = [
        (both.SerializeToString(), (), "INVALID_ARGUMENT", "contents: must be empty"),
        (_infer_message(raw_input_contents=[b"\0"]).SerializeToString(), (), "INVALID_ARGUMENT", "needs 8 bytes"),
        (_infer_message(model="nope", raw_input_contents=[b"\0" * 8]).SerializeToString(), (), "NOT_FOUND", "nope"),
        (b"\xff\xff", (), "INVALID_ARGUMENT", "not a valid inference.ModelInferRequest"),
        (large.SerializeToString(), (), "RESOURCE_EXHAUSTED", ""),
        (both.SerializeToString(), (("x-gateway-timeout-ms", "x"),), "INVALID_ARGUMENT", "x-gateway-timeout-ms"),
        (
            _infer_message(raw_input_contents=[b"\0" * 8]).SerializeToString(),
            (("x-gateway-backend", "nope"),),
            "INVALID_ARGUMENT",
            "no backend 'nope'",
        ),
    ]
    attempts = _attempts(stack[0])
    for data, metadata, code, problem in cases:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            rpc(oip_grpc.INFER_METHOD, data, metadata)
        assert caught.value.code().name == code
        assert problem in caught.value.details()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        rpc("/inference.GRPCInferenceService/Nothing", b"")
    assert caught.value.code().name == "UNIMPLEMENTED"
    assert _attempts(stack[0]) == attempts


def test_metrics_are_served_with_the_documented_names(loop, front, http):
    http("POST", DOUBLE, GOOD)
    _, _, body = loop.run(exchange(front["metrics"], "GET", "/metrics"))
    text = body.decode()
    for name in (
        "gateway_request_duration_seconds_bucket",
        "gateway_attempt_duration_seconds_bucket",
        "gateway_overhead_seconds_bucket",
        "gateway_inflight_requests",
        'gateway_backend_ready{backend="oip",model="double"} 1.0',
        'gateway_retries_total{reason="connect_failed"}',
        "gateway_rejected_total",
        "gateway_build_info{",
    ):
        assert name in text
    assert 'model="nope"' not in text  # made-up names grow no series


def test_admin_tells_the_backends(loop, front):
    status, _, body = loop.run(exchange(front["admin"], "GET", "/backends"))
    backends = json.loads(body)
    assert (status, set(backends)) == (200, {"oip", "tfs", "here"})
    up = {"ready": True, "problem": ""}
    assert backends["oip"]["models"]["double"] == {**up, "versions": {"1": up}}
    assert loop.run(exchange(front["admin"], "GET", "/readyz"))[0] == 200
