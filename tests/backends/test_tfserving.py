"""The TensorFlow Serving backend against servers that misbehave, over both protocols.

How it gets on with a server that does not is tested through the front doors.
"""

import asyncio
import contextlib
from dataclasses import replace

import grpc
import numpy as np
import pytest
import uvloop
from aiohttp import web

from gateway.backends.tfserving import TFServingBackend
from gateway.backends.tfserving_control import TFServingControl
from gateway.backends.tfserving_grpc import TFServingOverGRPC
from gateway.backends.tfserving_rest import TFServingOverREST
from gateway.codecs import tfs_grpc, tfs_metadata, tfs_reload, tfs_status
from gateway.codecs.tfs_status import AVAILABLE, END, LOADING, VersionStatus
from gateway.core.datatypes import Datatype
from gateway.core.errors import (
    AttemptTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    ModelNotFound,
    Overloaded,
    PayloadTooLarge,
    RequestRefused,
    Unavailable,
    Unsupported,
)
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor
from gateway.protos.loader import message_class

X, Y = TensorSpec("x", Datatype.FP32, (-1,)), TensorSpec("y", Datatype.FP32, (-1,))
ONE = Signature((X,), (Y,))
BOTH = ["grpc", "rest"]


def request(**changes):
    tensor = Tensor.from_numpy("x", np.array([1, 2], np.float32))
    return InferRequest("m", (tensor,), RequestContext("test", traceparent="00-1-2-00"), version="7", **changes)


class Server:
    """Answers as told; ``failure`` is a gRPC code or an HTTP status, where it is set."""

    def __init__(self, signatures=None, versions=(VersionStatus(7, AVAILABLE),), failure=None):
        self.signatures = {"serving_default": ONE} if signatures is None else signatures
        self.versions = versions
        self.failure = failure
        self.predicted = []
        self.gave_up = asyncio.Event()
        self.hang = False

    async def infer(self, data):
        if self.hang:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.gave_up.set()
                raise
        return data


@contextlib.asynccontextmanager
async def over_grpc(server, **options):
    """The backend in front of ``server``."""

    async def predict(data, context):
        if server.failure is not None:
            await context.abort(server.failure, "secret of the server")
        await server.infer(data)
        message = message_class("tensorflow.serving.PredictRequest").FromString(data)
        server.predicted.append((message.model_spec.version.value, message.model_spec.signature_name))
        return tfs_grpc.encode_predict_response(InferResponse("m", "7", (Tensor("y", X.datatype, (2,), bytes(8)),)))

    async def metadata(data, context):
        return tfs_metadata.encode_metadata_response("m", "7", server.signatures)

    async def status(data, context):
        return tfs_status.encode_status_response(server.versions)

    prediction = {"Predict": predict, "GetModelMetadata": metadata}
    services = {tfs_grpc.PREDICTION_SERVICE: prediction, tfs_grpc.MODEL_SERVICE: {"GetModelStatus": status}}
    running = grpc.aio.server()
    for service, methods in services.items():
        handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
        running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = running.add_insecure_port("127.0.0.1:0")
    await running.start()
    settings = {"timeout": 5, "max_body": 10_000, **options}
    backend = TFServingBackend("tf", TFServingOverGRPC("tf", f"127.0.0.1:{port}", **settings))
    yield backend
    await backend.close()
    await running.stop(0)


@contextlib.asynccontextmanager
async def over_rest(server, **options):
    """The backend in front of ``server``."""

    async def predict(incoming):
        if server.failure is not None:
            return web.json_response({"error": "secret of the server"}, status=server.failure)
        document = await incoming.json()
        await server.infer(document)
        server.predicted.append((int(incoming.match_info["version"]), document["signature_name"]))
        return web.json_response({"outputs": [0.0, 0.0]})

    async def metadata(incoming):
        return web.json_response(tfs_metadata.metadata_document("m", "7", server.signatures))

    async def status(incoming):
        return web.json_response(tfs_status.status_document(server.versions))

    app = web.Application()
    app.router.add_post("/v1/models/m/versions/{version}:predict", predict)
    for prefix in ("/v1/models/m", "/v1/models/m/versions/{version}"):
        app.router.add_get(f"{prefix}/metadata", metadata)
        app.router.add_get(prefix, status)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    settings = {"timeout": 5, "max_body": 10_000, **options}
    backend = TFServingBackend("tf", TFServingOverREST("tf", f"http://127.0.0.1:{port}", **settings))
    yield backend
    await backend.close()
    await runner.cleanup()


OVER = {"grpc": over_grpc, "rest": over_rest}


def run(protocol, scenario, *, options=None, **behaviour):
    async def whole():
        server = Server(**behaviour)
        async with OVER[protocol](server, **options or {}) as backend:
            return await scenario(backend, server)

    return uvloop.run(whole())


GRPC_ERRORS = {
    "NOT_FOUND": ModelNotFound,
    "RESOURCE_EXHAUSTED": Overloaded,
    "UNAVAILABLE": ConnectionLost,
    "DEADLINE_EXCEEDED": AttemptTimeout,
    "UNIMPLEMENTED": Unsupported,
    "INVALID_ARGUMENT": RequestRefused,
    "FAILED_PRECONDITION": BackendError,
    "INTERNAL": BackendError,
}
REST_ERRORS = {
    404: ModelNotFound, 429: Overloaded, 503: Overloaded, 504: DeadlineExceeded, 501: Unsupported,
    413: PayloadTooLarge, 400: RequestRefused, 500: BackendError,
}  # fmt: skip


@pytest.mark.parametrize(
    ("protocol", "failure", "kind"),
    [
        *[("grpc", getattr(grpc.StatusCode, code), kind) for code, kind in GRPC_ERRORS.items()],
        *[("rest", status, kind) for status, kind in REST_ERRORS.items()],
    ],
)
def test_a_refusal_is_told_as_ours_and_without_the_servers_words(protocol, failure, kind):
    async def scenario(backend, _):
        with pytest.raises(kind) as refused:
            await backend(request())
        return refused

    refused = run(protocol, scenario, failure=failure)
    assert type(refused.value) is kind
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("protocol", BOTH)
def test_version_and_signature_are_sent(protocol):
    async def scenario(backend, server):
        response = await backend(request())
        await backend(request(signature="other"))
        return response, server.predicted

    response, predicted = run(protocol, scenario, signatures={"serving_default": ONE, "other": ONE})
    assert response.outputs == (Tensor("y", Datatype.FP32, (2,), bytes(8)),)
    # The server's own default may come without a name.
    assert [(version, name or "serving_default") for version, name in predicted] == [
        (7, "serving_default"),
        (7, "other"),
    ]


@pytest.mark.parametrize("protocol", BOTH)
def test_a_model_without_default_signature_gets_the_one_that_was_told(protocol):
    async def scenario(backend, server):
        told = await backend.describe("m")
        await backend(request())
        return told, server.predicted

    told, predicted = run(protocol, scenario, signatures={"b": ONE, "c": Signature((X, Y), (Y,))})
    assert (told.version, told.signature, sorted(told.signatures)) == ("7", ONE, ["b", "c"])
    assert predicted == [(7, "b")]


@pytest.mark.parametrize("protocol", BOTH)
def test_versions_that_are_available_are_described_oldest_first(protocol):
    versions = [
        VersionStatus(9, LOADING),
        VersionStatus(7, AVAILABLE),
        VersionStatus(3, AVAILABLE),
        VersionStatus(1, END),
    ]

    async def scenario(backend, _):
        return await backend.describe("m")

    told = run(protocol, scenario, versions=versions)
    assert (told.version, [older.version for older in told.older]) == ("7", ["3"])


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("versions", [[], [VersionStatus(7, LOADING)], [VersionStatus(7, END)]])
def test_a_model_that_is_not_available_is_not_healthy(protocol, versions):
    async def scenario(backend, _):
        with pytest.raises(Unavailable, match="no version"):
            await backend.describe("m")
        with pytest.raises(Unavailable, match="no version is available"):
            await backend.check("m", "7")

    run(protocol, scenario, versions=versions)


@pytest.mark.parametrize("protocol", BOTH)
def test_a_model_without_a_signature_that_can_be_served_says_why(protocol):
    async def scenario(backend, _):
        with pytest.raises(Unsupported, match="no signature of model 'm' can be served: it tells of none"):
            await backend.describe("m")

    run(protocol, scenario, signatures={})


@pytest.mark.parametrize("protocol", BOTH)
def test_a_request_that_is_given_up_is_given_up_at_the_server(protocol):
    async def scenario(backend, server):
        server.hang = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await backend(request())
        await asyncio.wait_for(server.gave_up.wait(), 5)

    run(protocol, scenario)


@pytest.mark.parametrize("protocol", BOTH)
def test_a_server_that_hangs_is_given_up_in_time(protocol):
    async def scenario(backend, server):
        server.hang = True
        with pytest.raises(DeadlineExceeded):
            await backend(request())

    run(protocol, scenario, options={"timeout": 0.2})


def test_what_json_cannot_carry_is_known_beforehand():
    capabilities = TFServingOverREST("tf", "http://127.0.0.1:1", timeout=1, max_body=10).capabilities
    assert set(capabilities.refused) == {Datatype.FP16, Datatype.BF16, Datatype.UINT16}
    with pytest.raises(Unsupported, match="JSON has one token for every NaN"):
        capabilities.check("tf", replace(request(), inputs=(Tensor.from_numpy("x", np.array([-np.nan], np.float32)),)))
    capabilities.check("tf", replace(request(), inputs=(Tensor.from_numpy("x", np.array([np.nan], np.float32)),)))
    with pytest.raises(PayloadTooLarge):
        capabilities.check("tf", replace(request(), inputs=(Tensor.from_numpy("x", np.zeros(100, np.float32)),)))


def test_an_answer_that_no_longer_fits_has_the_signatures_asked_for_again():
    async def scenario(backend, server):
        await backend(request())
        two = Signature((X,), (TensorSpec("a", Datatype.FP32, (-1,)), TensorSpec("b", Datatype.FP32, (-1,))))
        backend._transport._known["m", "7"] = {"serving_default": two}
        with pytest.raises(BackendError, match="does not hold the model's outputs"):
            await backend(request())
        return await backend(request())

    assert run("rest", scenario).outputs[0].name == "y"


@pytest.mark.parametrize("transport", [TFServingOverGRPC, TFServingOverREST])
def test_a_refused_connection_is_told_apart(transport):
    async def scenario():
        address = "127.0.0.1:1" if transport is TFServingOverGRPC else "http://127.0.0.1:1"
        backend = TFServingBackend("tf", transport("tf", address, timeout=5, max_body=10_000))
        for call in (backend(request()), backend.check("m", "7"), backend.describe("m")):
            with pytest.raises(ConnectFailed, match="'tf' refused the connection"):
                await call
        await backend.close()

    uvloop.run(scenario())


# control


def test_without_control_there_is_none():
    async def scenario(backend, _):
        for call in (backend.load("m", ""), backend.unload("m", "")):
            with pytest.raises(Unsupported, match="model_control"):
                await call

    run("grpc", scenario)


def test_the_list_is_sent_with_what_is_served_and_the_change():
    served, lists = {"a": AVAILABLE, "b": END}, []

    async def status(data, context):
        name = tfs_status.decode_status_request(data).name
        if name not in served:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
        return tfs_status.encode_status_response([VersionStatus(1, served[name])])

    async def reload(data, context):
        lists.append([model.name for model in tfs_reload.decode_reload_request(data).models])
        return b""

    async def scenario():
        running = grpc.aio.server()
        methods = {"GetModelStatus": status, "HandleReloadConfigRequest": reload}
        handlers = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()}
        running.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(tfs_grpc.MODEL_SERVICE, handlers),))
        port = running.add_insecure_port("127.0.0.1:0")
        await running.start()
        paths = {name: f"/models/{name}" for name in "abc"}
        control = TFServingControl("tf", f"127.0.0.1:{port}", paths, timeout=5, max_body=10_000)
        await control.load("c")
        await control.unload("a")
        with pytest.raises(ModelNotFound, match="does not name 'd'"):
            await control.load("d")
        await control.close()
        await running.stop(0)

    uvloop.run(scenario())
    assert lists == [["a", "c"], []]
