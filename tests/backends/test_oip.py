"""The OIP backend against real gateways and against servers that speak the protocol each in its own way."""

import asyncio
import contextlib
import socket

import grpc
import numpy as np
import pytest
import uvloop
from aiohttp import web
from support.gateways import ENGINE, running, settings
from support.scaled_store import save_scaled
from support.services import request
from support.tiny_store import CARRIED, make_store

from gateway.backends.oip import OIPBackend
from gateway.backends.oip_description import oldest_first
from gateway.backends.oip_grpc import OIPOverGRPC
from gateway.backends.oip_http import JSON_ONLY, OIPOverHTTP
from gateway.core.capabilities import EVERYTHING
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import (
    AttemptTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GatewayError,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    RequestRefused,
    Unavailable,
    Unsupported,
)
from gateway.core.messages import RequestContext
from gateway.core.signatures import TensorSpec
from gateway.protos.loader import message_class

SECRET = "/srv/secret/path at 10.1.2.3"
LIMITS = {"timeout": 5.0, "max_body": 100_000}


def run(coroutine):
    return uvloop.run(asyncio.wait_for(coroutine, 30))


@contextlib.asynccontextmanager
async def closing(backend):
    try:
        yield backend
    finally:
        await backend.close()


def over_http(url, **changes):
    return closing(OIPBackend("b", OIPOverHTTP("b", url, **LIMITS | changes)))


def over_grpc(target, **changes):
    return closing(OIPBackend("b", OIPOverGRPC("b", target, **LIMITS | changes)))


# ---- a real server


@contextlib.asynccontextmanager
async def real(store, protocol, **changes):
    """A backend over ``protocol`` to a gateway with ONNX Runtime inside."""
    configuration = settings(store, {"engine": ENGINE}, control={"loopback": True}, **changes)
    async with running(configuration) as (_, addresses):
        there = over_http(f"http://{addresses['http']}") if protocol == "http" else over_grpc(addresses["grpc"])
        async with there as backend:
            yield backend


BOTH = pytest.mark.parametrize("protocol", ["http", "grpc"])


@BOTH
def test_every_datatype_comes_back_bit_for_bit(tmp_path, protocol):
    async def scenario():
        async with real(make_store(tmp_path), protocol) as backend:
            await backend.check("same-FP32", "1")
            assert backend.capabilities is EVERYTHING
            for datatype in CARRIED:
                array = np.arange(4).astype(NUMPY_DTYPE[datatype])
                asked = request(f"same-{datatype}", array, version="1", id="mine")
                (output,) = (await backend(asked)).outputs
                assert (output.datatype, output.shape) == (datatype, (4,))
                assert bytes(output.data) == array.tobytes()

    run(scenario())


@BOTH
def test_a_server_tells_its_models_and_their_versions(tmp_path, protocol):
    async def scenario():
        store = save_scaled(save_scaled(tmp_path, 2), 3, version="2")
        async with real(store, protocol, models=["scaled/1", "scaled/2"]) as backend:
            assert await backend.list_models() == ["scaled"]
            told = await backend.describe("scaled")
            assert (told.version, told.max_batch_size) == ("2", 8)
            assert told.signature.inputs == (TensorSpec("x", Datatype.FP32, (-1, 2)),)
            assert [each.version for each in told.older] == ["1"]
            await backend.check("scaled", "1")
            with pytest.raises(Unavailable):
                await backend.check("scaled", "3")
            with pytest.raises(ModelNotFound):
                await backend.describe("nope")

    run(scenario())


@BOTH
def test_models_are_loaded_and_unloaded_there(tmp_path, protocol):
    async def scenario():
        async with real(save_scaled(tmp_path, 2), protocol) as backend:
            await backend.unload("scaled", "1")
            assert await backend.list_models() == []
            with pytest.raises(GatewayError):
                await backend.check("scaled", "")
            await backend.load("scaled", "1")
            await backend.check("scaled", "1")
            with pytest.raises(ModelNotFound):
                await backend.load("nope", "")

    run(scenario())


@BOTH
def test_a_server_that_takes_no_orders_has_no_model_control(tmp_path, protocol):
    async def scenario():
        configuration = settings(save_scaled(tmp_path, 2), {"engine": ENGINE})
        async with running(configuration) as (_, addresses):
            there = over_http(f"http://{addresses['http']}") if protocol == "http" else over_grpc(addresses["grpc"])
            async with there as backend:
                for change in (backend.load, backend.unload):
                    with pytest.raises(Unsupported):
                        await change("scaled", "1")

    run(scenario())


# ---- servers with ways of their own, over HTTP


@contextlib.asynccontextmanager
async def server(answers):
    """The URL of a server with (status, JSON) by "METHOD path"; notes bodies by the same key."""
    seen = {}

    async def handle(asked):
        key = f"{asked.method} {asked.path}"
        seen[key] = (dict(asked.headers), await asked.read())
        status, document = answers.get(key, (404, {"detail": "Not Found"}))
        if isinstance(document, bytes):
            return web.Response(status=status, body=document)
        return web.json_response(document, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


SPEC = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
MLSERVER = {
    "GET /v2": (200, {"name": "mlserver", "version": "1.7.1", "extensions": []}),
    "POST /v2/repository/index": (
        200,
        [{"name": "m", "state": "READY", "reason": ""}, {"name": "n", "state": "UNAVAILABLE"}],
    ),
    "GET /v2/models/m": (200, {"name": "m", "versions": [], "platform": "", "inputs": [SPEC], "outputs": []}),
    "GET /v2/models/m/ready": (200, b""),
    "POST /v2/models/m/infer": (
        200,
        {"model_name": "m", "outputs": [{"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [1.5, 2.0]}]},
    ),
    "POST /v2/repository/models/n/load": (404, {"error": "Model n not found"}),
}
KSERVE = {
    "GET /v2": (200, {"name": "kserve", "extensions": ["model_repository_extension"]}),
    "GET /v2/models": (200, {"models": ["m"]}),
    "GET /v2/models/m": (200, {"name": "m", "versions": None, "platform": "", "inputs": [], "outputs": []}),
    "GET /v2/models/m/ready": (200, {"name": "m", "ready": True}),
    "GET /v2/models/m/versions/1/ready": (501, {"error": "Model versioning not supported yet."}),
    "POST /v2/models/m/infer": (
        200,
        {
            "model_name": "m",
            "model_version": None,
            "id": "made-up",
            "parameters": None,
            "outputs": [{"name": "y", "shape": [1], "datatype": "INT64", "parameters": None, "data": [7]}],
        },
    ),
}
TRITON = {
    "GET /v2": (200, {"name": "triton", "extensions": ["classification", "binary_tensor_data"]}),
    "GET /v2/models/m": (
        200,
        {
            "name": "m",
            "versions": ["3", "10", "2"],
            "platform": "onnxruntime_onnx",
            "inputs": [SPEC, {"name": "mask", "datatype": "BYTES", "shape": [-1, -1]}],
            "outputs": [{"name": "y", "datatype": "BF16", "shape": [-1, 10]}],
        },
    ),
    "GET /v2/models/m/config": (
        200,
        {"max_batch_size": 4, "input": [{"name": "x"}, {"name": "mask", "optional": True}]},
    ),
    "POST /v2/repository/models/m/unload": (
        503,
        {"error": "explicit model load / unload is not allowed if polling is enabled"},
    ),
    "POST /v2/repository/models/m/load": (400, {"error": f"failed to load 'm': {SECRET}"}),
    "GET /v2/models/nope": (400, {"error": "Request for unknown model: 'nope' is not found"}),
}
for version in ("3", "10"):
    TRITON[f"GET /v2/models/m/versions/{version}"] = TRITON["GET /v2/models/m"]
    TRITON[f"GET /v2/models/m/versions/{version}/ready"] = (200, b"")
    TRITON[f"GET /v2/models/m/versions/{version}/config"] = TRITON["GET /v2/models/m/config"]


def test_a_server_without_the_binary_extension_gets_json():
    async def scenario():
        async with server(MLSERVER) as (url, seen), over_http(url) as backend:
            assert await backend.list_models() == ["m"]
            assert backend.capabilities is JSON_ONLY
            told = await backend.describe("m")
            assert (told.version, told.older, told.max_batch_size) == ("", (), 0)
            assert [spec.name for spec in told.signature.inputs] == ["x"]
            response = await backend(request(array=np.array([[1, 2]], np.float32)))
            assert response.outputs[0].to_numpy().tolist() == [[1.5, 2.0]]
            headers, body = seen["POST /v2/models/m/infer"]
            assert headers["Content-Type"] == "application/json"
            assert b'"data":[1.0,2.0]' in body

    run(scenario())


def test_what_json_cannot_carry_is_refused_with_the_reason():
    asked = request(array=np.zeros(1, np.float16))
    with pytest.raises(Unsupported, match="backend 'b' cannot carry FP16: the server takes tensors in JSON only"):
        JSON_ONLY.check("b", asked)


def test_the_configuration_knows_better_than_the_server():
    async def scenario():
        async with server(KSERVE) as (url, seen), over_http(url, binary=True) as backend:
            await backend.check("m", "")
            assert backend.capabilities is EVERYTHING
            await backend(request())
            assert seen["POST /v2/models/m/infer"][0]["Content-Type"] == "application/octet-stream"

    run(scenario())


def test_a_server_that_writes_null_and_knows_no_versions():
    async def scenario():
        async with server(KSERVE) as (url, _), over_http(url) as backend:
            assert await backend.list_models() == ["m"]
            told = await backend.describe("m")
            assert (told.version, told.signature.inputs, told.signature.batched) == ("", (), False)
            response = await backend(request())
            assert (response.version, response.outputs[0].to_numpy().tolist()) == ("", [7])
            with pytest.raises(Unavailable):
                await backend.check("m", "1")

    run(scenario())


def test_versions_optional_inputs_and_batches_are_taken_from_metadata_and_configuration():
    async def scenario():
        async with server(TRITON) as (url, _), over_http(url) as backend:
            told = await backend.describe("m")
            assert ([each.version for each in told.older], told.version) == (["3"], "10")  # 2 is not there
            assert told.max_batch_size == 4
            assert [spec.optional for spec in told.signature.inputs] == [False, True]
            assert told.signature.outputs[0].datatype is Datatype.BF16
            with pytest.raises(ModelNotFound):
                await backend.describe("nope")

    run(scenario())


def test_a_server_whose_versions_are_not_ready_is_no_server_without_versions():
    answers = {key: answer for key, answer in TRITON.items() if not key.endswith("/ready")}

    async def scenario():
        async with server(answers) as (url, _), over_http(url) as backend:
            await backend.describe("m")

    with pytest.raises(Unavailable, match="no version of model 'm' is ready"):
        run(scenario())


def test_a_version_that_is_listed_and_not_there_is_left_out():
    answers = {key: answer for key, answer in TRITON.items() if "/versions/" not in key}

    async def scenario():
        async with server(answers) as (url, _), over_http(url) as backend:
            return await backend.describe("m")

    told = run(scenario())
    assert (told.version, told.older, told.max_batch_size) == ("", (), 4)


def test_model_control_that_is_missing_switched_off_or_fails():
    async def scenario():
        async with server(TRITON) as (url, _), over_http(url) as backend:
            with pytest.raises(Unsupported, match="no model control, or it is switched off"):
                await backend.unload("m", "")
            with pytest.raises(BackendError, match="could not load model 'm'") as caught:
                await backend.load("m", "")
            assert SECRET not in caught.value.message
        async with server(MLSERVER) as (url, _), over_http(url) as backend:
            with pytest.raises(ModelNotFound):
                await backend.load("n", "")
            with pytest.raises(ModelNotFound, match="in its repository"):
                await backend.load("nope", "")
        async with server({}) as (url, _), over_http(url) as backend:
            for change in (backend.load, backend.unload):
                with pytest.raises(Unsupported):
                    await change("m", "")
            with pytest.raises(Unsupported, match="does not list its models"):
                await backend.list_models()

    run(scenario())


@pytest.mark.parametrize(
    "document",
    [b"no json", b"[]", {"inputs": [{"name": "x", "datatype": "FLOAT", "shape": []}]}, {"inputs": [{"shape": 3}]}],
)
def test_a_description_that_breaks_the_protocol_is_the_backends_fault(document):
    async def scenario():
        async with server({"GET /v2/models/m": (200, document)}) as (url, _), over_http(url) as backend:
            await backend.describe("m")

    with pytest.raises(BackendError, match="backend 'b'"):
        run(scenario())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, ModelNotFound),
        (408, DeadlineExceeded),
        (413, PayloadTooLarge),
        (429, Overloaded),
        (501, Unsupported),
        (503, Overloaded),
        (504, DeadlineExceeded),
        (500, BackendError),
        (302, BackendError),
    ],
)
def test_each_status_is_one_of_our_errors_and_its_text_stays_here(status, kind):
    async def scenario():
        async with server({"POST /v2/models/m/infer": (status, SECRET.encode())}) as (url, _):
            async with over_http(url) as backend:
                await backend(request())

    with pytest.raises(kind) as caught:
        run(scenario())
    assert type(caught.value) is kind
    assert SECRET not in caught.value.message


def test_names_are_quoted():
    async def scenario():
        async with server({}) as (url, seen), over_http(url) as backend:
            with contextlib.suppress(GatewayError):
                await backend(request("a/../b?", version="1#2"))
            return list(seen)

    assert run(scenario()) == ["POST /v2/models/a/../b?/versions/1#2/infer"]  # one segment each, on the wire


@pytest.mark.parametrize(
    ("versions", "sorted_"),
    [
        (["10", "9", "1"], ["1", "9", "10"]),
        (["v1.10.0", "v1.9.0", "v1.9.0"], ["v1.9.0", "v1.10.0"]),
        (["b", "2", "a1"], ["2", "a1", "b"]),
        ([], []),
    ],
)
def test_versions_of_any_kind_have_an_order(versions, sorted_):
    assert oldest_first(versions) == sorted_


# ---- over gRPC

SERVICE = "inference.GRPCInferenceService"
ModelInferResponse = message_class("inference.ModelInferResponse")


@contextlib.asynccontextmanager
async def grpc_server(**methods):
    """The address of a server whose ``methods`` take the raw message and the context."""
    instance = grpc.aio.server()
    handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
    instance.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = instance.add_insecure_port("127.0.0.1:0")
    await instance.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await instance.stop(0)


def refusing(code, details=SECRET):
    async def method(_, context):
        await context.abort(code, details)

    return method


async def infer(method, **changes):
    async with grpc_server(ModelInfer=method) as target, over_grpc(target, **changes) as backend:
        return await backend(request(context=RequestContext("test", traceparent="00-trace")))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, ModelNotFound),
        (grpc.StatusCode.DEADLINE_EXCEEDED, AttemptTimeout),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Overloaded),
        (grpc.StatusCode.UNAVAILABLE, ConnectionLost),
        (grpc.StatusCode.CANCELLED, ConnectionLost),
        (grpc.StatusCode.UNIMPLEMENTED, Unsupported),
        (grpc.StatusCode.INVALID_ARGUMENT, RequestRefused),
        (grpc.StatusCode.UNKNOWN, BackendError),
    ],
)
def test_each_code_is_one_of_our_errors_and_its_text_stays_here(code, kind):
    with pytest.raises(kind) as caught:
        run(infer(refusing(code)))
    assert type(caught.value) is kind
    assert SECRET not in caught.value.message


def typed_answer(**contents):
    async def method(_, context):
        answer = ModelInferResponse(model_name="m")
        output = answer.outputs.add(name="y", datatype="INT64", shape=[2])
        output.contents.int64_contents.extend([5, -6])
        text = answer.outputs.add(name="z", datatype="BYTES", shape=[1, 1])
        text.contents.bytes_contents.append(b"\xff")
        return answer.SerializeToString()

    return method


def test_an_answer_in_typed_contents_is_read():
    response = run(infer(typed_answer()))
    assert [output.to_numpy().tolist() for output in response.outputs] == [[5, -6], [[b"\xff"]]]


def test_an_empty_contents_message_beside_raw_contents_is_tolerated():
    async def as_mlserver_does(_, context):
        answer = ModelInferResponse(model_name="m", raw_output_contents=[b"\x01"])
        answer.outputs.add(name="y", datatype="INT8", shape=[1]).contents.SetInParent()
        return answer.SerializeToString()

    assert run(infer(as_mlserver_does)).outputs[0].to_numpy().tolist() == [1]


def test_the_trace_is_passed_on():
    seen = {}

    async def note(_, context):
        seen.update(context.invocation_metadata())
        return ModelInferResponse().SerializeToString()

    run(infer(note))
    assert seen["traceparent"] == "00-trace"


def test_a_backend_that_hangs_runs_into_its_time_limit_and_is_told():
    cancelled = []

    async def hang(_, context):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    with pytest.raises(DeadlineExceeded):
        run(infer(hang, timeout=0.05))
    assert cancelled


def test_who_stops_waiting_cancels_the_call():
    async def scenario():
        entered, cancelled = asyncio.Event(), asyncio.Event()

        async def hang(_, context):
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with grpc_server(ModelInfer=hang) as target, over_grpc(target) as backend:
            call = asyncio.create_task(backend(request()))
            await entered.wait()
            call.cancel()
            await cancelled.wait()

    run(scenario())


def test_a_refused_connection_is_told_apart_from_a_broken_one():
    async def refused():
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with over_grpc(f"127.0.0.1:{port}") as backend:
            await backend(request())

    async def broken():
        async def drop(reader, writer):
            await reader.read(1)
            writer.close()

        instance = await asyncio.start_server(drop, "127.0.0.1", 0)
        async with instance, over_grpc(f"127.0.0.1:{instance.sockets[0].getsockname()[1]}") as backend:
            await backend(request())

    with pytest.raises(ConnectFailed, match="backend 'b' refused the connection"):
        run(refused())
    with pytest.raises(Unavailable):
        run(broken())


def test_messages_over_the_limit_are_told_by_side():
    async def large(_, context):
        return b"x" * 1000

    with pytest.raises(BackendError, match="an answer over the limit"):
        run(infer(large, max_body=500))
    with pytest.raises(PayloadTooLarge, match="more than backend 'b' takes"):
        run(infer(large, max_body=20))


@pytest.mark.parametrize("answer", [b"\xff", b"\x0a\xff"])
def test_an_answer_that_is_no_message_is_the_backends_fault(answer):
    async def method(_, context):
        return answer

    with pytest.raises(BackendError, match="breaks the protocol"):
        run(infer(method))


def test_states_are_read_as_mlserver_writes_them_and_model_control_may_be_off():
    response_class = message_class("inference.RepositoryIndexResponse")

    async def index(_, context):
        answer = response_class()
        for name, state in (("a", "State.READY"), ("b", "State.UNAVAILABLE"), ("c", "LOADING"), ("d", "")):
            answer.models.add(name=name, state=state)
        return answer.SerializeToString()

    async def scenario():
        off = refusing(grpc.StatusCode.UNAVAILABLE, "explicit model load / unload is not allowed if polling is enabled")
        async with grpc_server(RepositoryIndex=index, RepositoryModelUnload=off) as target:
            async with over_grpc(target) as backend:
                assert await backend.list_models() == ["a", "c", "d"]
                with pytest.raises(Unsupported, match="switched off"):
                    await backend.unload("a", "")
                with pytest.raises(Unsupported):
                    await backend.load("a", "")

    run(scenario())
