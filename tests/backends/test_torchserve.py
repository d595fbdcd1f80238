"""The TorchServe backend against small faulty servers; the real one is in the integration tests."""

import asyncio
import contextlib
import json

import grpc
import numpy as np
import pytest
import uvloop
from aiohttp import web
from support.services import request

from gateway.backends.torchserve import TorchServeBackend
from gateway.codecs.oip_http import HEADER_LENGTH, ResponseForm, decode_request, encode_response
from gateway.config.backends import TorchServeBackend as Settings
from gateway.core.datatypes import Datatype
from gateway.core.errors import (
    BackendError,
    Conflict,
    ConnectFailed,
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
    Unsupported,
)
from gateway.core.limits import Limits
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Tensor, join_bytes
from gateway.protos.loader import message_class

SECRET = "/srv/secret/path at 10.1.2.3"
TOKEN_FAILURE = {"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."}


@contextlib.asynccontextmanager
async def serving(handler):
    """The URL of a server that answers every request with ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def backend(url, **settings):
    configuration = Settings.model_validate({"kind": "torchserve", "url": url, "timeout": 5.0, **settings})
    return TorchServeBackend.from_config("ts", configuration, max_body=10_000)


def run(answer, use, /, **settings):
    """What ``use`` returns, given a backend whose server, and whose management, is ``answer``."""

    async def everything():
        async with serving(answer) as url:
            if settings.get("management") is True:
                settings["management"] = url
            made = backend(url, **settings)
            try:
                return await use(made)
            finally:
                await made.close()

    return uvloop.run(everything())


def answering(status, body=b"", headers=None):
    async def handler(_):
        return web.Response(status=status, body=body, headers=headers)

    return handler


async def echo(http_request):
    """An OIP handler whose output y is the input."""
    length = int(http_request.headers[HEADER_LENGTH])
    decoded, _ = decode_request(await http_request.read(), length, "m", "", RequestContext("t"), Limits())
    x = decoded.inputs[0]
    response = InferResponse("m", "1", (Tensor("y", x.datatype, x.shape, x.data),))
    body, length = encode_response(response, ResponseForm(True, {}))
    return web.Response(body=body, headers={HEADER_LENGTH: str(length)})


def raw(*elements, **parameters):
    inputs = (Tensor("body", Datatype.BYTES, (len(elements),), join_bytes(elements)),)
    return InferRequest("m", inputs, RequestContext("test"), parameters=parameters)


RAW = {"handler": {"payload": "raw"}}

# tokens


def guarded(accepted, seen):
    """A server that takes the token ``accepted[0]``."""

    async def handler(http_request):
        seen.append(http_request.headers.get("Authorization"))
        if seen[-1] != f"Bearer {accepted[0]}":
            return web.json_response(TOKEN_FAILURE, status=400)
        return await echo(http_request)

    return handler


def test_it_gets_its_token(tmp_path):
    seen, file = [], tmp_path / "key_file.json"
    file.write_text('{"inference": {"key": "k"}}')
    run(guarded(["k"], seen), lambda made: made(request()), token_file=file)
    assert seen == ["Bearer k"]


def test_a_server_that_refuses_the_token_is_not_asked_for_ever(tmp_path):
    seen, file = [], tmp_path / "key_file.json"
    file.write_text('{"inference": {"key": "old"}}')
    with pytest.raises(BackendError, match="HTTP 400"):
        run(guarded(["k"], seen), lambda made: made(request()), token_file=file)
    assert seen == ["Bearer old"] * 2


def test_a_new_key_is_read_when_the_old_one_is_refused(tmp_path):
    file, seen, accepted = tmp_path / "key_file.json", [], ["first"]
    file.write_text('{"inference": {"key": "first"}}')

    async def use(made):
        await made(request())
        accepted[0] = "second"  # TorchServe was restarted
        file.write_text('{"inference": {"key": "second"}}')
        await made(request())

    run(guarded(accepted, seen), use, token_file=file)
    assert seen == ["Bearer first", "Bearer first", "Bearer second"]


@pytest.mark.parametrize("content", [None, "{", "[]", '{"inference": {}}'])
def test_an_unreadable_key_file_is_unavailable_and_its_path_stays_here(tmp_path, content):
    file = tmp_path / "key_file.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Unavailable, match="token cannot be read") as caught:
        run(answering(200), lambda made: made(request()), token_file=file)
    assert str(tmp_path) not in caught.value.message


def test_each_api_has_its_own_key(tmp_path):
    file, seen = tmp_path / "key_file.json", {}
    file.write_text('{"inference": {"key": "i"}, "management": {"key": "m"}}')

    async def handler(http_request):
        seen[http_request.path] = http_request.headers["Authorization"]
        return web.json_response([{"modelVersion": "1.0", "workers": [{"status": "READY"}]}])

    run(handler, lambda made: made.check("m", ""), token_file=file, management=True)
    assert seen == {"/ping": "Bearer i", "/models/m/all": "Bearer m"}


# errors


@pytest.mark.parametrize("settings", [{}, RAW])
@pytest.mark.parametrize(
    ("status", "kind_of_server", "kind"),
    [
        (400, "BadRequestException", InvalidRequest),
        (404, "ModelNotFoundException", ModelNotFound),
        (408, "RequestTimeoutException", DeadlineExceeded),
        (413, "", PayloadTooLarge),
        (418, "", InvalidRequest),
        (429, "", Overloaded),
        (500, "InternalServerException", BackendError),
        (503, "ServiceUnavailableException", Overloaded),
        (503, "InternalServerException", BackendError),  # the handler raised
        (507, "InternalServerException", BackendError),
        (401, "InvalidKeyException", BackendError),
        (302, "", BackendError),
    ],
)
def test_each_refusal_has_its_error_and_its_text_stays_here(settings, status, kind_of_server, kind):
    body = json.dumps({"code": status, "type": kind_of_server, "message": SECRET}).encode()
    call = request() if settings == {} else raw(b"x")
    with pytest.raises(kind, match="'ts'") as caught:
        run(answering(status, body), lambda made: made(call), **settings)
    assert type(caught.value) is kind
    assert SECRET not in caught.value.message


def test_one_row_that_fails_fails_the_request():
    async def handler(http_request):
        return web.Response(status=400 if await http_request.read() == b"bad" else 200, body=b"ok")

    with pytest.raises(InvalidRequest):
        run(handler, lambda made: made(raw(b"good", b"bad")), **RAW)


@pytest.mark.parametrize("content_type", ["a\r\nX: y", "é", "", 5, "x" * 300])
def test_a_type_that_is_no_header_is_refused_unsent(content_type):
    with pytest.raises(InvalidRequest, match=r"parameters\.content_type"):
        run(answering(200), lambda made: made(raw(b"x", content_type=content_type)), **RAW)


def test_an_answer_that_is_not_as_declared_is_the_backends_fault():
    row = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
    settings = {"handler": {"payload": "json", "inputs": [row], "outputs": [row | {"name": "y"}]}}
    for body in (b"{", b"7", b'{"predictions": "a"}', b'[["a", 1]]', b"[[1], [1, 2]]"):
        with pytest.raises(BackendError, match="declares"):
            run(answering(200, body), lambda made: made(request()), **settings)


def test_what_json_cannot_carry_is_refused_unsent():
    row = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
    settings = {"handler": {"payload": "json", "inputs": [row], "outputs": [row]}}
    with pytest.raises(Unsupported, match=r"inputs\['x'\].*JSON has no NaN"):
        run(answering(200), lambda made: made(request(array=np.full((1, 2), np.nan, np.float32))), **settings)


# health, models, control


@pytest.mark.parametrize(
    ("status", "document", "version", "problem"),
    [
        (200, [{"modelVersion": "1.0", "workers": [{"status": "READY"}]}], "1", ""),
        (200, [{"modelVersion": "1.5", "workers": [{"status": "READY"}]}], "1.5", ""),
        (200, [{"modelVersion": "1.5", "workers": [{"status": "READY"}]}], "", ""),
        (200, [{"modelVersion": "1.0", "workers": [{"status": "UNLOADING"}]}], "1", "none of its workers is ready"),
        (200, [{"modelVersion": "1.0", "workers": [{"status": "READY"}]}], "2", "no version 2"),
        (404, {"code": 404}, "", "does not have the model"),
        (500, {"message": SECRET}, "", "HTTP 500"),
        (200, {}, "", "cannot be read"),
    ],
)
def test_a_model_is_healthy_when_a_worker_of_its_version_is(status, document, version, problem):
    async def handler(http_request):
        if http_request.path == "/ping":
            return web.json_response({"status": "Healthy"})
        return web.json_response(document, status=status)

    def check():
        run(handler, lambda made: made.check("m", version), management=True)

    if not problem:
        check()
        return
    with pytest.raises((Unavailable, BackendError), match=problem) as caught:
        check()
    assert SECRET not in caught.value.message


def test_without_management_it_is_healthy_as_a_whole():
    run(answering(200), lambda made: made.check("m", ""))
    with pytest.raises(Unavailable, match="HTTP 503"):
        run(answering(503), lambda made: made.check("m", ""))


def test_models_are_listed_by_pages_and_described_as_configured():
    async def handler(http_request):
        if http_request.path == "/models":
            first = int(http_request.query["next_page_token"])
            page = {"models": [{"modelName": f"m{index}", "modelUrl": ""} for index in range(first, first + 2)]}
            return web.json_response(page | ({"nextPageToken": str(first + 2)} if first < 4 else {}))
        ready, not_ready = [{"status": "READY"}], [{"status": "UNLOADING"}]
        versions = [("1.10", ready), ("1.2", ready), ("0.9", not_ready)]
        return web.json_response([{"modelVersion": name, "workers": workers} for name, workers in versions])

    async def use(made):
        return await made.list_models(), await made.describe("m1")

    listed, described = run(handler, use, management=True, **RAW)
    assert listed == [f"m{index}" for index in range(6)]
    assert described.version == "1.10"
    assert [older.version for older in described.older] == ["1.2"]
    assert [(spec.name, spec.datatype) for spec in described.signature.inputs] == [("body", "BYTES")]
    # A handler that nobody described tells nothing.
    assert run(handler, lambda made: made.list_models(), management=True) == []
    with pytest.raises(Unsupported, match="describe it"):
        run(handler, lambda made: made.describe("m1"))


@pytest.mark.parametrize(
    ("status", "kind"), [(405, Unsupported), (404, ModelNotFound), (403, Conflict), (500, BackendError)]
)
def test_refused_control_has_its_error(status, kind):
    body = json.dumps({"message": SECRET}).encode()
    for use in (lambda made: made.load("m", ""), lambda made: made.unload("m", "")):
        with pytest.raises(kind) as caught:
            run(answering(status, body), use, management=True)
        assert SECRET not in caught.value.message


def test_without_management_there_is_no_control():
    for use in (lambda made: made.load("m", ""), lambda made: made.unload("m", "")):
        with pytest.raises(Unsupported, match="management"):
            run(answering(200), use)


# gRPC


@contextlib.asynccontextmanager
async def serving_grpc(predictions):
    """The address of a server whose method Predictions is ``predictions``."""
    server = grpc.aio.server()
    service = "org.pytorch.serve.grpc.inference.InferenceAPIsService"
    method = grpc.unary_unary_rpc_method_handler(predictions)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Predictions": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def run_grpc(predictions, message, **settings):
    async def everything():
        async with serving_grpc(predictions) as address:
            made = backend("http://127.0.0.1:1", protocol="grpc", grpc=address, **settings)
            try:
                return await made(message)
            finally:
                await made.close()

    return uvloop.run(everything())


def test_grpc_sends_the_token_and_a_form_as_its_parts(tmp_path):
    file = tmp_path / "key_file.json"
    file.write_text('{"inference": {"key": "k"}}')
    seen = []
    request_class = message_class("org.pytorch.serve.grpc.inference.PredictionsRequest")
    response_class = message_class("org.pytorch.serve.grpc.inference.PredictionResponse")

    async def predictions(data, context):
        message = request_class.FromString(data)
        seen.append((dict(context.invocation_metadata())["authorization"], dict(message.input)))
        return response_class(prediction=b"done").SerializeToString()

    form = b'--b\r\nContent-Disposition: form-data; name="data"\r\n\r\nX\r\n--b--\r\n'
    call = raw(form, content_type="multipart/form-data; boundary=b")
    response = run_grpc(predictions, call, token_file=file, **RAW)
    assert seen == [("Bearer k", {"data": b"X"})]
    assert response.outputs[0].to_numpy().tolist() == [b"done"]


def test_a_new_key_is_read_when_grpc_refuses_the_old_one(tmp_path):
    file, seen = tmp_path / "key_file.json", []
    file.write_text('{"inference": {"key": "first"}}')

    async def predictions(_, context):
        seen.append(dict(context.invocation_metadata())["authorization"])
        if seen[-1] != "Bearer second":
            file.write_text('{"inference": {"key": "second"}}')  # TorchServe was restarted
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "Token Authorization failed.")
        response_class = message_class("org.pytorch.serve.grpc.inference.PredictionResponse")
        return response_class(prediction=b"done").SerializeToString()

    assert run_grpc(predictions, raw(b"x"), token_file=file, **RAW).outputs[0].to_numpy().tolist() == [b"done"]
    assert seen == ["Bearer first", "Bearer second"]


def test_a_grpc_refusal_tells_nothing_of_the_inside():
    async def predictions(_, context):
        await context.abort(grpc.StatusCode.INTERNAL, SECRET)

    with pytest.raises(BackendError) as caught:
        run_grpc(predictions, raw(b"x"), **RAW)
    assert SECRET not in caught.value.message


def test_an_oip_handler_that_takes_no_binary_tensors_gets_json():
    answer = {"model_name": "m", "outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [7]}]}
    seen = []

    async def over_http(http_request):
        seen.append(json.loads(await http_request.read())["inputs"][0]["data"])
        return web.json_response(answer)

    async def over_grpc(data, _):
        message = message_class("org.pytorch.serve.grpc.inference.PredictionsRequest").FromString(data)
        seen.append(json.loads(message.input["body"])["inputs"][0]["data"])
        response_class = message_class("org.pytorch.serve.grpc.inference.PredictionResponse")
        return response_class(prediction=json.dumps(answer).encode()).SerializeToString()

    settings = {"handler": {"payload": "oip", "binary": False}}
    for response in (
        run(over_http, lambda made: made(request()), **settings),
        run_grpc(over_grpc, request(), **settings),
    ):
        assert response.outputs[0].to_numpy().tolist() == [7]
    assert seen == [[0, 0], [0, 0]]
    with pytest.raises(Unsupported, match="JSON has no NaN"):
        run_grpc(over_grpc, request(array=np.full((1, 2), np.nan, np.float32)), **settings)


@pytest.mark.parametrize("prediction", [b"", b"{}", b'{"error": "/secret"}', b"\1\0\0\0{", b"\2\0\0\0{}"])
def test_an_oip_answer_over_grpc_that_is_none_is_the_backends_fault(prediction):
    async def predictions(_, __):
        response_class = message_class("org.pytorch.serve.grpc.inference.PredictionResponse")
        return response_class(prediction=prediction).SerializeToString()

    with pytest.raises(BackendError) as caught:
        run_grpc(predictions, request())
    assert "/secret" not in caught.value.message


def test_a_refused_grpc_connection_is_told_apart():
    async def use():
        made = backend("http://127.0.0.1:1", protocol="grpc", grpc="127.0.0.1:1", **RAW)
        try:
            await made(raw(b"x"))
        finally:
            await made.close()

    with pytest.raises(ConnectFailed):
        asyncio.run(use())


# configuration


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        ({"payload": "json"}, "needs inputs and outputs"),
        ({"payload": "multipart"}, "needs inputs"),
        ({"payload": "raw", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}]}, "BYTES"),
        ({"payload": "raw", "inputs": [{"name": "x", "datatype": "BYTES", "shape": [1]}]}, "must be -1"),
        ({"payload": "raw", "content_type": "a\r\nb"}, "content_type"),
        (
            {
                "payload": "json",
                "inputs": [{"name": "x", "datatype": "FP16", "shape": [-1]}],
                "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}],
            },
            "no JSON form",
        ),
    ],
)
def test_a_handler_that_cannot_be_spoken_to_is_refused_at_start(handler, problem):
    with pytest.raises(ValueError, match=problem):
        backend("http://127.0.0.1:1", handler=handler)


def test_grpc_needs_its_address():
    with pytest.raises(ValueError, match="grpc is needed"):
        backend("http://127.0.0.1:1", protocol="grpc")


def test_versions_are_numbers_here_and_what_they_are_there():
    asked = []

    async def handler(http_request):
        asked.append(http_request.path)
        if http_request.path.startswith("/models"):
            return web.json_response(
                [{"modelVersion": name, "workers": [{"status": "READY"}]} for name in ("1.0", "2.0", "2", "beta")]
            )
        return web.Response(body=b"x")

    async def use(made):
        described = await made.describe("m")
        names = [older.version for older in described.older] + [described.version]
        for version in (*names, "7"):
            call = raw(b"x")
            call.version = version
            await made(call)
        return names

    assert run(handler, use, management=True, **RAW) == ["1", "2", "2.0", "beta"]
    assert asked[1:] == [f"/predictions/m{version}" for version in ("/1.0", "/2", "/2.0", "/beta", "")]


def test_a_server_of_the_stores_archives_calls_versions_as_we_do():
    asked = []

    async def handler(http_request):
        asked.append(http_request.path)
        return web.Response(body=b"x")

    async def use(made):
        call = raw(b"x")
        call.version = "2"
        await made(call)

    run(handler, use, **RAW)
    run(handler, use, launch={"authorization": False}, **RAW)
    assert asked == ["/predictions/m", "/predictions/m/2"]
