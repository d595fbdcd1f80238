"""Content codings: the pieces by themselves, and a gateway over real sockets with unmodified clients."""

import asyncio
import contextlib
import gzip
import json
import tracemalloc
import zlib

import aiohttp
import grpc
import numpy as np
import pytest
import tritonclient.grpc.aio as triton_grpc
import tritonclient.http.aio as triton_http
import uvloop
from hypothesis import given
from hypothesis import strategies as st
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

from gateway.core.errors import InvalidRequest, PayloadTooLarge
from gateway.core.limits import Limits
from gateway.frontends.compression import (
    Compressor,
    Inflater,
    UnsupportedCoding,
    answer_coding,
    request_coding,
)

LIMITS = Limits(body_bytes=1_000_000, body_chunks=8)
SAME = "/v2/models/same-FP32/infer"


def raw_deflate(data):
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


PACKED = {
    "gzip": (gzip.compress, b"gzip"),
    "zlib": (zlib.compress, b"deflate"),
    "raw": (raw_deflate, b"deflate"),
    "members": (lambda data: gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]), b"gzip"),
}


def inflate(body, coding, limits=LIMITS):
    return asyncio.run(Compressor().inflate(body, coding, limits))


# what comes in


@pytest.mark.parametrize("form", PACKED)
@given(data=st.binary(min_size=1, max_size=3000), times=st.integers(1, 300))
def test_what_was_packed_comes_out(form, data, times):
    pack, coding = PACKED[form]
    assert inflate(pack(data * times), coding) == data * times


def test_the_limit_itself_is_allowed():
    assert len(inflate(gzip.compress(bytes(LIMITS.body_bytes)), b"gzip")) == LIMITS.body_bytes
    with pytest.raises(PayloadTooLarge, match="over the limit of 1000000 bytes when decompressed"):
        inflate(gzip.compress(bytes(LIMITS.body_bytes + 1)), b"gzip")


@pytest.mark.parametrize("form", PACKED)
def test_a_bomb_takes_no_more_memory_than_the_limit_and_one_piece(form):
    pack, coding = PACKED[form]
    bomb = pack(bytes(200_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(PayloadTooLarge):
            Inflater(bomb, coding, LIMITS).run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < LIMITS.body_bytes + 600_000  # zlib's own window, and one piece


def test_a_body_of_many_empty_members_ends_early():
    with pytest.raises(PayloadTooLarge, match="over the limit of 8 compressed members"):
        inflate(gzip.compress(b"") * 9, b"gzip")
    assert inflate(gzip.compress(b"") * 7 + gzip.compress(b"x"), b"gzip") == b"x"


@pytest.mark.parametrize(
    ("body", "coding", "message"),
    [
        (gzip.compress(b"abc")[:-1], b"gzip", "cut short"),
        (gzip.compress(b"abc" * 100)[:15], b"gzip", "cut short"),
        (zlib.compress(b"abc")[:-4], b"deflate", "cut short"),
        (gzip.compress(b"abc") + b"more", b"gzip", "follows"),
        (gzip.compress(b"abc") + b"\x1f\x8b", b"gzip", "cut short"),
        (zlib.compress(b"abc") + b"\0", b"deflate", "follows"),
        (gzip.compress(b"abc")[:-8] + bytes(8), b"gzip", "not valid"),  # a wrong checksum
        (b"{}", b"gzip", "not valid"),
        (b"\x78\xbb\0\0\0\0", b"deflate", "not valid"),  # needs a dictionary that nobody has
    ],
)
def test_damaged_bodies_are_refused(body, coding, message):
    with pytest.raises(InvalidRequest, match=message):
        inflate(body, coding)


@given(st.binary(min_size=1, max_size=200), st.sampled_from([b"gzip", b"deflate"]), st.booleans())
def test_noise_is_refused_or_small(noise, coding, headed):
    body = gzip.compress(b"")[:10] + noise if headed else noise
    with contextlib.suppress(InvalidRequest):
        assert len(inflate(body, coding)) <= LIMITS.body_bytes


@pytest.mark.parametrize(
    ("header", "coding"),
    [(None, b""), (b"", b""), (b"identity", b""), (b"GZIP", b"gzip"), (b" x-gzip ", b"gzip"), (b"deflate", b"deflate")],
)
def test_content_encoding(header, coding):
    assert request_coding(header) == coding


@pytest.mark.parametrize("header", [b"br", b"gzip, gzip", b"gzip, identity", b"gzip;q=1", b"\xff"])
def test_other_content_encodings_are_refused(header):
    with pytest.raises(UnsupportedCoding):
        request_coding(header)


# what goes out


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (None, b""),
        (b"", b""),
        (b"gzip", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip, deflate, br, zstd", b"gzip"),
        (b"deflate, gzip", b"gzip"),
        (b"gzip;q=0.5, deflate", b"deflate"),
        (b"GZIP; Q=0.5 , deflate;q=0.4", b"gzip"),
        (b"gzip;q=0", b""),
        (b"gzip;q=0, *", b"deflate"),
        (b"*", b"gzip"),
        (b"*;q=0", b""),
        (b"br", b""),
        (b"identity, gzip;q=0.5", b""),
        (b"identity;q=0.5, gzip", b"gzip"),
        (b"gzip;q=x", b""),
        (b"gzip;q=nan", b""),
    ],
)
def test_accept_encoding(header, coding):
    assert answer_coding(header) == coding


@pytest.mark.parametrize("size", [2_000, 100_000])
@pytest.mark.parametrize(("coding", "window"), [(b"gzip", 31), (b"deflate", 15)])
def test_an_answer_is_packed_where_that_helps(coding, window, size):
    zeros, noise = bytes(size), np.random.default_rng(0).bytes(size)
    assert zlib.decompress(asyncio.run(Compressor().deflate(zeros, coding)), window) == zeros
    assert asyncio.run(Compressor().deflate(noise, coding)) is None


# a gateway


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def front(loop, tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("store"))
    gateway = running(settings(store, {"engine": ENGINE}, limits={"body_bytes": LIMITS.body_bytes}))
    _, addresses = loop.run(gateway.__aenter__())
    yield addresses
    loop.run(gateway.__aexit__(None, None, None))


@pytest.fixture
def ask(loop, front):
    async def exchange(method, path, body, headers):
        async with aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding"]) as session:
            url = f"http://{front['http']}{path}"
            async with session.request(method, url, data=body, headers=headers) as answer:
                return answer.status, answer.headers, await answer.read()

    return lambda method, path, body=None, headers=None: loop.run(exchange(method, path, body, headers))


@pytest.mark.parametrize("answered", [None, "gzip", "deflate"])
@pytest.mark.parametrize("sent", [None, "gzip", "deflate"])
def test_tritonclient_compresses_both_ways_over_http(loop, front, sent, answered):
    array = np.zeros(8, np.float32)

    async def infer():
        async with triton_http.InferenceServerClient(front["http"]) as client:
            given = triton_http.InferInput("x", [8], "FP32")
            given.set_data_from_numpy(array)  # binary: the header counts uncompressed bytes
            answer = await client.infer(
                "same-FP32",
                [given],
                request_compression_algorithm=sent,
                response_compression_algorithm=answered,
                request_id="long" * 500,
            )
            return answer.as_numpy("y"), answer.get_response()["id"]

    values, name = loop.run(infer())
    assert values.tolist() == array.tolist()
    assert name == "long" * 500


@pytest.mark.parametrize("sent", [None, "gzip", "deflate"])
def test_tritonclient_compresses_over_grpc(loop, front, sent):
    async def infer():
        async with triton_grpc.InferenceServerClient(front["grpc"]) as client:
            given = triton_grpc.InferInput("x", [8], "FP32")
            given.set_data_from_numpy(np.arange(8, dtype=np.float32))
            answer = await client.infer("same-FP32", [given], compression_algorithm=sent)
            return answer.as_numpy("y").tolist()

    assert loop.run(infer()) == list(range(8))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (SAME, {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [1, 2]}]}),
        ("/v1/models/same-FP32:predict", {"instances": [1, 2]}),
    ],
)
def test_every_door_takes_a_compressed_body(ask, path, body):
    plain = json.dumps(body).encode()
    expected = ask("POST", path, plain)[2]
    assert b"1.0" in expected
    status, _, answer = ask("POST", path, gzip.compress(plain), {"Content-Encoding": "gzip"})
    assert (status, answer) == (200, expected)


def test_an_answer_says_how_it_is_packed_and_what_that_depends_on(ask):
    values = [0.0] * 8
    body = json.dumps(
        {"id": "a" * 3000, "inputs": [{"name": "x", "datatype": "FP32", "shape": [8], "data": values}]}
    ).encode()
    status, headers, packed = ask("POST", SAME, body, {"Accept-Encoding": "deflate;q=0.5, gzip"})
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "accept-encoding")
    assert len(packed) < 1000
    status, headers, plain = ask("POST", SAME, body)
    assert (status, headers.get("content-encoding"), headers["vary"]) == (200, None, "accept-encoding")
    assert gzip.decompress(packed) == plain


def test_a_small_answer_is_left_alone(ask):
    _, headers, _ = ask("GET", "/v2/health/live", None, {"Accept-Encoding": "gzip"})
    assert "content-encoding" not in headers
    assert "vary" not in headers


def test_an_unknown_coding_is_refused_and_told_what_is_possible(ask):
    status, headers, body = ask("POST", SAME, b"{}", {"Content-Encoding": "br"})
    assert (status, headers["accept-encoding"]) == (501, "gzip, deflate")
    assert "Content-Encoding" in json.loads(body)["error"]


def test_a_second_content_encoding_hides_nothing(loop, front):
    async def send():
        reader, writer = await asyncio.open_connection(*front["http"].split(":"))
        head = f"POST {SAME} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Encoding: identity\r\n"
        writer.write(head.encode() + b"Content-Length: 2\r\n\r\n{}")
        line = await reader.readline()
        writer.close()
        return line

    assert b"501" in loop.run(send())


def test_a_bomb_is_refused_over_http(ask):
    status, _, body = ask("POST", SAME, gzip.compress(bytes(100_000_000)), {"Content-Encoding": "gzip"})
    assert (status, json.loads(body)) == (413, {"error": "body: over the limit of 1000000 bytes when decompressed"})
    assert ask("GET", "/v2/health/live")[0] == 200


def test_a_bomb_is_refused_over_grpc(loop, front):
    async def send():
        options = (("grpc.max_send_message_length", -1),)
        async with grpc.aio.insecure_channel(front["grpc"], options=options) as channel:
            method = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            await method(bytes(100_000_000), compression=grpc.Compression.Gzip)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        loop.run(send())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_grpc_answer_is_compressed_when_the_metadata_asks(loop, front, coding):
    async def size_on_the_wire(metadata):
        count = 0

        async def pipe(source, target, *, counts):
            nonlocal count
            while data := await source.read(65536):
                count += len(data) if counts else 0
                target.write(data)
            target.close()

        async def proxy(reader, writer):
            from_server, to_server = await asyncio.open_connection(*front["grpc"].split(":"))
            await asyncio.gather(pipe(reader, to_server, counts=False), pipe(from_server, writer, counts=True))

        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with triton_grpc.InferenceServerClient(f"127.0.0.1:{port}") as client:
            given = triton_grpc.InferInput("x", [8], "FP32")
            given.set_data_from_numpy(np.zeros(8, np.float32))
            answer = await client.infer("same-FP32", [given], request_id="a" * 20_000, headers=metadata)
            assert answer.get_response().id == "a" * 20_000
        server.close()
        return count

    assert loop.run(size_on_the_wire({})) > 20_000
    assert loop.run(size_on_the_wire({"accept-encoding": coding})) < 2_000
