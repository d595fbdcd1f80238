"""Backends against small faulty servers: what goes wrong upstream becomes one of our errors and leaks nothing."""

import asyncio
import contextlib
import socket
import threading

import numpy as np
import pytest
import uvloop
from aiohttp import web
from support.services import request

from gateway.backends.embedded import EmbeddedBackend, EmbeddedModel
from gateway.backends.health import HealthChecker
from gateway.backends.oip import OIPBackend
from gateway.backends.oip_http import OIPOverHTTP
from gateway.backends.tfserving import TFServingBackend
from gateway.backends.tfserving_grpc import TFServingOverGRPC
from gateway.codecs.oip_http import HEADER_LENGTH, ResponseForm, decode_request, encode_response
from gateway.core.backend import Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, ConnectFailed, DeadlineExceeded, Overloaded, Unavailable
from gateway.core.limits import Limits
from gateway.core.messages import InferResponse, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor

SECRET = "/srv/secret/path at 10.1.2.3"


@contextlib.asynccontextmanager
async def serving(handler):
    """The URL of a server that answers every request with ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def oip(url, timeout=5.0, max_body=10_000):
    return OIPBackend("b", OIPOverHTTP("b", url, timeout=timeout, max_body=max_body))


async def call(backend):
    try:
        return await backend(request())
    finally:
        await backend.close()


async def echo(http_request):
    """An OIP server whose output y is the input."""
    length = int(http_request.headers[HEADER_LENGTH])
    decoded, _ = decode_request(await http_request.read(), length, "m", "", RequestContext("t"), Limits())
    x = decoded.inputs[0]
    response = InferResponse("m", "1", (Tensor("y", x.datatype, x.shape, x.data),))
    body, length = encode_response(response, ResponseForm(True, {}))
    return web.Response(body=body, headers={HEADER_LENGTH: str(length)})


def answering(status=200, body=b"", headers=None):
    async def handler(_):
        return web.Response(status=status, body=body, headers=headers)

    return handler


def test_oip_sends_binary_and_passes_the_trace_on():
    seen = []

    async def handler(http_request):
        seen.append((http_request.path, http_request.headers.get("traceparent")))
        return await echo(http_request)

    async def run():
        async with serving(handler) as url:
            backend = oip(url)
            message = request(context=RequestContext("t", traceparent="00-trace"))
            try:
                return await backend(message)
            finally:
                await backend.close()

    (output,) = uvloop.run(run()).outputs
    assert output.to_numpy().tolist() == [[0, 0]]
    assert seen == [("/v2/models/m/infer", "00-trace")]


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        (answering(500, SECRET.encode()), BackendError),
        (answering(400, SECRET.encode()), BackendError),
        (answering(503, SECRET.encode()), Overloaded),
        (answering(429, SECRET.encode()), Overloaded),
        (answering(200, SECRET.encode()), BackendError),
        (answering(200, b"{}", {HEADER_LENGTH: "x"}), BackendError),
        (answering(200, b"{}", {HEADER_LENGTH: "99"}), BackendError),
        (answering(200, b"x" * 10_001), BackendError),
    ],
)
def test_a_bad_answer_is_the_backends_fault_and_its_text_stays_here(handler, kind):
    async def run():
        async with serving(handler) as url:
            await call(oip(url))

    with pytest.raises(kind) as caught:
        uvloop.run(run())
    assert SECRET not in caught.value.message
    assert "127.0.0.1" not in caught.value.message


def test_a_refused_connection_is_told_apart():
    with pytest.raises(ConnectFailed, match="backend 'b' refused the connection"):
        uvloop.run(call(oip(f"http://127.0.0.1:{unused_port()}")))


def test_a_connection_that_breaks_is_not_a_refused_one():
    async def run():
        async def drop(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(drop, "127.0.0.1", 0)
        async with server:
            await call(oip(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"))

    with pytest.raises(Unavailable, match="closed the connection") as caught:
        uvloop.run(run())
    assert not isinstance(caught.value, ConnectFailed)  # it may have been worked on: not ours to send again


def test_a_backend_that_hangs_runs_into_its_time_limit():
    async def run():
        released = asyncio.Event()

        async def hang(_):
            await released.wait()
            return web.Response()

        async with serving(hang) as url:
            try:
                await call(oip(url, timeout=0.05))
            finally:
                released.set()

    with pytest.raises(DeadlineExceeded, match="did not answer in time"):
        uvloop.run(run())


# TensorFlow Serving


def test_a_refused_grpc_connection_is_told_apart():
    async def run():
        transport = TFServingOverGRPC("tf", f"127.0.0.1:{unused_port()}", timeout=5, max_body=10_000)
        await call(TFServingBackend("tf", transport))

    with pytest.raises(ConnectFailed, match="'tf' refused the connection"):
        uvloop.run(run())


# embedded


SIGNATURE = Signature((TensorSpec("x", Datatype.FP32, (-1, 2)),), (TensorSpec("y", Datatype.FP32, (-1, 2)),))


class Doubling:
    """Notes the threads it ran in; ``broken`` makes it fail."""

    def __init__(self):
        self.threads = []
        self.broken = False

    def run(self, inputs):
        self.threads.append(threading.current_thread())
        if self.broken:
            raise RuntimeError(SECRET)
        return {"y": inputs["x"] * 2}


def embedded(engine, signature=SIGNATURE):
    backend = EmbeddedBackend("e", lambda model, version: EmbeddedModel(engine, signature), instances=1)
    backend.open("m", "")
    return backend


def test_a_quick_engine_runs_on_the_loop_and_a_slow_batch_in_a_thread(monkeypatch):
    engine = Doubling()
    backend = embedded(engine)

    async def run(rows):
        await backend(request(array=np.zeros((rows, 2), np.float32)))
        return engine.threads[-1] is threading.main_thread()

    monkeypatch.setattr("gateway.backends.embedded.INLINE_SECONDS", 1.0)
    assert uvloop.run(run(1))
    monkeypatch.setattr("gateway.backends.embedded.INLINE_SECONDS", 0.0)
    assert not uvloop.run(run(1))
    uvloop.run(backend.close())


def test_an_engine_whose_time_cannot_be_known_runs_in_a_thread(monkeypatch):
    monkeypatch.setattr("gateway.backends.embedded.INLINE_SECONDS", 1e9)
    engine = Doubling()
    free = Signature((TensorSpec("x", Datatype.FP32, (-1, -1)),), SIGNATURE.outputs)
    uvloop.run(call(embedded(engine, free)))
    assert engine.threads[-1] is not threading.main_thread()


def test_an_engine_that_fails_tells_the_client_nothing_of_its_inside():
    async def run():
        engine = Doubling()
        backend = embedded(engine)
        engine.broken = True
        await call(backend)

    with pytest.raises(BackendError, match="the engine failed") as caught:
        uvloop.run(run())
    assert SECRET not in caught.value.message


# health


class Checked:
    def __init__(self, *results):
        self.results = list(results)

    async def check(self, model, version):
        result = self.results.pop(0)
        if result == "hang":
            await asyncio.Event().wait()
        if result is not None:
            raise result


def test_endpoints_follow_their_checks():
    endpoint, states = Endpoint("b", "m"), []
    backend = Checked(None, Unavailable("no model"), "hang", ZeroDivisionError(), None)

    async def run():
        model = ServedModel("m", "1", "", SIGNATURE, 0, (), (endpoint,))
        checker = HealthChecker(
            Catalog([model]),
            {"b": backend},
            timeout=0.01,
            on_check=lambda checked: states.append((checked.healthy, checked.problem)),
        )
        for _ in range(5):
            await checker.check_all()

    uvloop.run(run())
    assert states == [
        (True, ""),
        (False, "no model"),
        (False, "health check timed out"),
        (False, "health check failed: ZeroDivisionError"),
        (True, ""),
    ]


def test_checks_reach_real_servers():
    async def run():
        async with serving(answering(200, b"{}")) as up, serving(answering(503)) as down:
            results = []
            for backend in (
                oip(up),
                oip(down),
                TFServingBackend("f", TFServingOverGRPC("f", f"127.0.0.1:{unused_port()}", timeout=5, max_body=10)),
            ):
                try:
                    await backend.check("m", "1")
                    results.append("ok")
                except (Unavailable, ConnectFailed) as error:
                    results.append(error.message)
                await backend.close()
            return results

    assert uvloop.run(run()) == [
        "ok",
        "model not ready (HTTP 503)",
        "backend 'f' refused the connection",
    ]


def test_the_engines_arrays_become_tensors():
    async def run():
        return await call(embedded(Doubling()))

    assert np.array_equal(uvloop.run(run()).outputs[0].to_numpy(), np.zeros((1, 2), np.float32))
