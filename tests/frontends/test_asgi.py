"""Starlette's routes behind our own HTTP server."""

import asyncio
import contextlib

import pytest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from support.looped import looped
from support.raw_http import connected, post

from gateway.core.limits import Limits
from gateway.frontends.asgi import Routed
from gateway.frontends.authorization import Authorization
from gateway.frontends.guarded import guarded
from gateway.frontends.http_server import HTTPServer
from gateway.http1.reply import Reply

LIMITS = Limits(body_bytes=100)


async def told(request):
    seen = {"path": request.url.path, "query": dict(request.query_params), "name": request.path_params.get("name")}
    return JSONResponse({**seen, "header": request.headers.get("x-some"), "client": request.client.host})


async def echo(request):
    return Response(await request.body(), status_code=201, headers={"x-mine": "1"})


async def pieces(_):
    async def parts():
        for part in (b"one, ", b"two"):
            yield part
            await asyncio.sleep(0)

    return StreamingResponse(parts(), media_type="text/plain")


async def broken(_):
    raise KeyError("unforeseen")


async def others(request):
    return Reply(request.path.encode(), [], 404)


ROUTES = [
    Route("/told/{name}", told),
    Route("/echo", guarded(echo, Authorization(loopback=True)), methods=["POST"]),
    Route("/pieces", pieces),
    Route("/broken", broken),
]


@contextlib.asynccontextmanager
async def served():
    server = HTTPServer(Routed(ROUTES, others, LIMITS), drain_timeout=1, limits=LIMITS)
    port = server.bind("127.0.0.1", 0)
    await server.start()
    async with connected(f"127.0.0.1:{port}") as connection:
        yield connection
    await server.stop()


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Some: thing\r\n\r\n".encode()


@looped
async def test_a_route_sees_the_request():
    async with served() as connection:
        await connection.send(get("/told/a%20b?c=d&c=%26"))
        answer = await connection.answer()
    assert answer.status == 200
    assert answer.document == {
        "path": "/told/a b", "query": {"c": "&"}, "name": "a b", "header": "thing", "client": "127.0.0.1",
    }  # fmt: skip


@looped
async def test_a_body_there_and_back():
    async with served() as connection:
        await connection.send(post("/echo", b"body") + get("/pieces"))
        first, second = await connection.answer(), await connection.answer()
    assert (first.status, first.body, first.headers["x-mine"]) == (201, b"body", "1")
    assert (second.status, second.body, second.headers["content-length"]) == (200, b"one, two", "8")


@looped
async def test_a_body_over_the_limit_is_our_error():
    async with served() as connection:
        await connection.send(post("/echo", bytes(101)))
        answer = await connection.answer()
    assert (answer.status, answer.document["error"]) == (413, "body: 101 bytes are over the limit of 100")


@pytest.mark.parametrize("request_bytes", [get("/elsewhere"), post("/told/a"), get("/echo"), get("/told/")])
@looped
async def test_what_no_route_takes_is_for_the_others(request_bytes):
    async with served() as connection:
        await connection.send(request_bytes)
        answer = await connection.answer()
    assert (answer.status, answer.body) == (404, request_bytes.split()[1])


@looped
async def test_what_goes_wrong_in_a_route_is_an_answer():
    async with served() as connection:
        await connection.send(get("/broken"))
        assert [answer.status for answer in await connection.answers()] == [500]
