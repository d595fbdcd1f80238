"""Hostile input on the gRPC port: refused with the right status, memory stays bounded, and the server goes on."""

import asyncio
import contextlib
import re
from pathlib import Path

import grpc
import numpy as np
import pytest
import uvloop
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support import raw_http2 as h2
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

from gateway.codecs import oip_grpc
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from gateway.frontends.grpc_server import DOORS

LIMIT = 1_000_000
STREAMS = 50
MEMORY = 64_000_000  # bytes by which one attack may make the process grow, its own part of it included
GOOD = oip_grpc.encode_request(
    InferRequest("double", (Tensor.from_numpy("x", np.ones((1, 2), np.float32)),), RequestContext("test"))
)
INFER = f"/{oip_grpc.INFER_METHOD.lstrip('/')}".encode()
UNARY = sorted(
    operation.path for door in DOORS.values() for operation in door.operations if operation.method != "stream"
)
STREAMING = sorted(
    operation.path for door in DOORS.values() for operation in door.operations if operation.method == "stream"
)
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
}


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def front(loop, tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("store"))
    limits = {"body_bytes": LIMIT, "streams": STREAMS}
    gateway = running(settings(store, {"engine": ENGINE}, limits=limits))
    _, addresses = loop.run(gateway.__aenter__())
    yield addresses["grpc"]
    loop.run(gateway.__aexit__(None, None, None))


def resident():
    kilobytes = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[1]
    return int(kilobytes) * 1024


async def call(address, method=oip_grpc.INFER_METHOD, data=GOOD, **options):
    async with grpc.aio.insecure_channel(address, options=(("grpc.max_send_message_length", -1),)) as channel:
        path = method if method.startswith("/") else f"/{method}"
        return await channel.unary_unary(path)(data, timeout=10, **options)


def status(loop, *arguments, **options):
    """The status of a call, and what the server says."""
    try:
        loop.run(call(*arguments, **options))
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


@pytest.fixture
def address(front, loop):
    """The gateway's; after the test it must still answer, and not have grown by more than allowed."""
    before = resident()
    yield front
    assert loop.run(call(front))
    assert resident() - before < MEMORY


@pytest.mark.parametrize(
    "method",
    [
        "/inference.GRPCInferenceService/Nothing",
        "/inference.GRPCInferenceService/",
        "/inference.GRPCInferenceService/ModelInfer/",
        "/inference.grpcinferenceservice/ModelInfer",
        "/no.such.Service/ModelInfer",
        "/../inference.GRPCInferenceService/ModelInfer",
        "/" + "a" * 2000,
        "//",
    ],
)
def test_unknown_methods_are_unimplemented(loop, address, method):
    assert status(loop, address, method)[0] is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("method", UNARY)
def test_garbage_is_refused_by_every_method(loop, address, method):
    @hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.one_of(st.binary(max_size=60), st.just(b"\xff" * 1000), st.just(b"\x0a" * 1001)))
    def check(data):
        code, details = status(loop, address, method, data)
        # Many a message without fields is a valid question.
        assert code in REFUSALS | {grpc.StatusCode.OK}, details
        assert len(details) <= 1000

    check()


@pytest.mark.parametrize("method", STREAMING)
def test_garbage_is_refused_by_every_stream(loop, address, method):
    async def send():
        async with grpc.aio.insecure_channel(address) as channel:
            stream = channel.stream_stream(f"/{method}")(timeout=10)
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await stream.write(b"\xff" * 100)
                await stream.done_writing()
            answers = 0
            with contextlib.suppress(grpc.aio.AioRpcError):
                async for _ in stream:
                    answers += 1
            return await stream.code(), answers

    code, answers = loop.run(send())
    # Triton's stream tells errors in its messages.
    assert code in REFUSALS or (code is grpc.StatusCode.OK and answers)


def test_long_names_do_not_make_long_statuses(loop, address):
    tensor = Tensor.from_numpy("x" * 100_000, np.ones((1, 2), np.float32))
    data = oip_grpc.encode_request(InferRequest("double", (tensor,), RequestContext("test")))
    code, details = status(loop, address, data=data)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "unknown input 'xxx" in details
    code, details = status(loop, address, metadata=(("x-gateway-backend", "b" * 4000),))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "known: " in details


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((("x-gateway-timeout-ms", "nan"),), grpc.StatusCode.INVALID_ARGUMENT),
        ((("x-gateway-timeout-ms", "1" * 5000),), grpc.StatusCode.INVALID_ARGUMENT),
        ((("x", "a" * 100_000),), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (tuple(("x", "a") for _ in range(5000)), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ((("accept-encoding", "br, nonsense;q=x"),), grpc.StatusCode.OK),
        ((("x-bin", bytes(range(256))),), grpc.StatusCode.OK),
    ],
)
def test_hostile_metadata(loop, address, metadata, code):
    assert status(loop, address, metadata=metadata)[0] is code


def test_a_message_over_the_limit_is_refused(loop, address):
    assert status(loop, address, data=bytes(LIMIT + 1))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


# below gRPC


async def open_streams(connection, count, path=INFER, *, end=False, first=1):
    block = h2.header_block(path)
    flags = h2.END_HEADERS | (h2.END_STREAM if end else 0)
    return await connection.send(
        b"".join(h2.frame(h2.HEADERS, flags, first + 2 * number, block) for number in range(count))
    )


def test_a_connection_may_have_so_many_calls(loop, address):
    async def send():
        async with h2.connected(address) as connection:
            return connection.settings[h2.MAX_CONCURRENT_STREAMS]

    assert loop.run(send()) == STREAMS


def test_more_streams_than_allowed_are_not_served(loop, address):
    async def send():
        async with h2.connected(address) as connection:
            await open_streams(connection, STREAMS * 20)
            while (found := await connection.frame()) is not None:
                if found[0] in (h2.RESET, h2.GOAWAY):
                    break

    loop.run(send())


def test_resets_in_a_loop_harm_nobody(loop, address):
    async def send():
        async with h2.connected(address) as connection:
            block = h2.header_block(INFER)
            cancel = (8).to_bytes(4, "big")
            for number in range(100):
                burst = b"".join(
                    h2.frame(h2.HEADERS, h2.END_HEADERS, stream, block) + h2.frame(h2.RESET, 0, stream, cancel)
                    for stream in range(number * 400 + 1, (number + 1) * 400, 2)
                )
                if not await connection.send(burst):
                    return
                assert number % 50 or await call(address)  # others are served meanwhile

    loop.run(send())


@pytest.mark.parametrize(
    "flood",
    [
        h2.frame(h2.PING, 0, 0, bytes(8)),
        h2.frame(h2.SETTINGS),
        h2.frame(h2.SETTINGS, 0, 0, b"\0\4\0\1\0\0"),
        h2.frame(h2.WINDOW_UPDATE, 0, 0, b"\0\0\0\1"),
        h2.frame(h2.DATA, 0, 1, b""),
        h2.frame(0xB, 0, 0, bytes(100)),  # a kind that does not exist
    ],
    ids=["ping", "empty settings", "settings", "window", "empty data", "unknown"],
)
def test_a_flood_of_frames_harms_nobody(loop, address, flood):
    async def send():
        async with h2.connected(address) as connection:
            await open_streams(connection, 1)
            for number in range(100):
                if not await connection.send(flood * 1000):
                    return
                assert number % 50 or await call(address)

    loop.run(send())


def test_headers_without_end_are_not_kept(loop, address):
    async def send():
        async with h2.connected(address) as connection:
            await connection.send(h2.frame(h2.HEADERS, 0, 1, h2.header_block(INFER)))
            more = b"\0\1x" + b"\x7d" + b"a" * 125
            for number in range(10_000):  # 128 MB, twice what the process may grow by
                if not await connection.send(h2.frame(h2.CONTINUATION, 0, 1, more * 100)):
                    return
                assert number % 2000 or await call(address)

    loop.run(send())


@pytest.mark.parametrize(
    "data",
    [
        b"\0\xff\xff\xff\xff",  # a length that never comes
        b"\1\0\0\0\4abcd",  # compressed, it says
        b"\7\0\0\0\0",  # no such flag
        h2.message(GOOD) * 2,  # two where one is expected
    ],
)
@pytest.mark.parametrize("coding", [b"identity", b"gzip", b"nonsense"])
def test_a_message_that_is_none_ends_its_call(loop, address, data, coding):
    async def send():
        async with h2.connected(address) as connection:
            block = h2.header_block(INFER, (b"grpc-encoding", coding))
            await connection.send(h2.frame(h2.HEADERS, h2.END_HEADERS, 1, block))
            await connection.send(h2.frame(h2.DATA, h2.END_STREAM, 1, data))
            while (found := await connection.frame()) is not None:
                if found[0] in (h2.RESET, h2.GOAWAY) or (found[0] == h2.HEADERS and found[1] & h2.END_STREAM):
                    break

    loop.run(send())


@pytest.mark.parametrize(
    "data",
    [
        b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(1000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        h2.PREFACE + b"\xff" * 1000,
        h2.PREFACE + h2.frame(h2.SETTINGS) + h2.frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff" * 500),
        h2.PREFACE + h2.frame(h2.SETTINGS) + h2.frame(h2.DATA, 0, 7, b"lost"),
        h2.PREFACE + h2.frame(h2.SETTINGS) + h2.frame(h2.HEADERS, h2.END_HEADERS, 2, h2.header_block(INFER)),
    ],
)
def test_what_is_no_http2_harms_nobody(loop, address, data):
    async def send():
        reader, writer = await asyncio.open_connection(*address.split(":"))
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 10)
        writer.close()

    loop.run(send())
