"""Requests that are turned away with their head: what the client gets, and what becomes of its connection."""

import asyncio
import contextlib
import json
import math
import socket

import aiohttp
import pytest
import uvloop
from support.gateways import ENGINE, running, settings
from support.logged import logged
from support.raw_http import connected, exchange, post
from support.tiny_store import make_store

from gateway.core.crowding import INTERVAL, LEAST, TARGET, Crowding
from gateway.core.limits import Limits
from gateway.frontends.crowd import Crowd
from gateway.frontends.http_crowd import HTTPCrowd
from gateway.frontends.http_server import HTTPServer
from gateway.frontends.oip.http import OIPDoor
from gateway.http1 import connection as http1
from gateway.http1.reply import Reply

INFER = "/v2/models/double/infer"
FREE = ("127.0.0.1", 0)


class Full:
    """Turns everything away that it is asked about."""

    on = True

    def __init__(self):
        self.asked = []

    def refuses(self, in_flight, priority, address):
        self.asked.append((in_flight, priority, address))
        return True

    def on_busy_round(self, callback):
        self.accept_more = callback


async def echo(request):
    return Reply(await request.body(Limits()), [])


@contextlib.asynccontextmanager
async def serving(app=echo, crowd=None):
    judge = HTTPCrowd(crowd, [(each, OIPDoor.segment) for each in OIPDoor.operations])
    server = HTTPServer(app, drain_timeout=1, limits=Limits(), crowd=judge)
    address = f"127.0.0.1:{server.bind(*FREE)}"
    await server.start()
    try:
        yield address
    finally:
        await server.stop()


def looped(test):
    def run(*arguments, **named):
        uvloop.run(asyncio.wait_for(test(*arguments, **named), 20))

    run.__name__ = test.__name__
    run.pytestmark = getattr(test, "pytestmark", [])
    return run


@looped
async def test_the_connection_goes_on_and_the_body_is_thrown_away():
    crowd = Full()
    async with serving(crowd=crowd) as address, connected(address) as connection:
        for size in (0, 10, 1_000_000):
            await connection.send(post(INFER, bytes(size)))
            answer = await connection.answer()
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.document == {"error": "too many requests at once; try again later"}
            assert "connection" not in answer.headers
        crowd.on = False
        await connection.send(post(INFER, b"now"))
        answer = await connection.answer()
        assert (answer.status, answer.body) == (200, b"now")
    assert crowd.asked == [(0, None, INFER.encode())] * 3


@looped
async def test_a_chunked_body_is_thrown_away_too():
    async with serving(crowd=Full()) as address, connected(address) as connection:
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        await connection.send(head + b"3\r\nabc\r\n")
        assert (await connection.answer()).status == 503
        await connection.send(b"2\r\nde\r\n0\r\n\r\n" + post("/elsewhere", b"now"))
        assert (await connection.answer()).body == b"now"


@pytest.mark.parametrize("line", [b"Connection: close", b"Expect: 100-Continue"])
def test_the_connection_ends_where_it_cannot_go_on(line):
    async def run():
        async with serving(crowd=Full()) as address, connected(address) as connection:
            request = post(INFER, b"body", line)
            await connection.send(request[:-4] if line.startswith(b"Expect") else request)
            (answer,) = await connection.answers()
            assert (answer.status, answer.headers["connection"]) == (503, "close")

    uvloop.run(asyncio.wait_for(run(), 20))


@looped
async def test_an_older_client_gets_its_answer_and_the_end():
    async with serving(crowd=Full()) as address, connected(address) as connection:
        await connection.send(f"POST {INFER} HTTP/1.0\r\nContent-Length: 0\r\n\r\n".encode())
        (answer,) = await connection.answers()
        assert answer.status == 503


@looped
async def test_answers_stay_in_order():
    may = asyncio.Event()

    async def app(request):
        await may.wait()
        return await echo(request)

    crowd = Full()
    async with serving(app, crowd) as address, connected(address) as connection:
        await connection.send(post("/v2/health", b"first") + post(INFER, b"second"))
        while not crowd.asked and not may.is_set():
            await asyncio.sleep(0)
            may.set()
        assert [(await connection.answer()).body for _ in range(2)] == [b"first", b"second"]
        await connection.send(post(INFER, b"third") + post("/v2/health", b"fourth"))
        assert [(await connection.answer()).status for _ in range(2)] == [503, 200]
    assert len(crowd.asked) == 1


@looped
async def test_who_does_not_take_his_answers_gets_no_refusals_before_them():
    answered = []

    async def app(request):
        answered.append(request.path)
        return Reply(bytes(10_000_000), []) if request.path == "/large" else await echo(request)

    crowd = Full()
    async with serving(app, crowd) as address, connected(address) as connection:
        connection.writer.transport.pause_reading()
        await connection.send(b"GET /large HTTP/1.1\r\n\r\n")
        while not answered:
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)  # it is written by now, as far as the kernel takes it
        await connection.send(post(INFER, b"second") + post(INFER, b"third"))
        await asyncio.sleep(0.05)
        assert crowd.asked == []
        connection.writer.transport.resume_reading()
        assert [len((await connection.answer()).body) for _ in range(3)] == [10_000_000, 6, 5]
    assert answered == ["/large", INFER, INFER]


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(http1, "_DISCARD", 0.05)

    async def run():
        async with serving(crowd=Full()) as address, connected(address) as connection:
            await connection.send(post(INFER, b"whole")[:-2])
            assert [answer.status for answer in await connection.answers()] == [503]

    uvloop.run(asyncio.wait_for(run(), 20))


@looped
async def test_all_but_inference_is_let_in():
    crowd = Full()
    async with serving(crowd=crowd) as address:
        for request in (b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n", post("/v2/repository/models/infer/load")):
            assert (await exchange(address, request)).status == 200
    assert crowd.asked == []


@looped
async def test_connections_that_wait_are_accepted_after_a_busy_round():
    crowd = Full()
    async with serving(crowd=crowd) as address:
        host, port = address.split(":")
        waiting = [socket.create_connection((host, int(port))) for _ in range(20)]
        crowd.accept_more()  # in one go, where the loop accepts one in each round
        for _ in range(3):
            await asyncio.sleep(0)
        assert crowd.accept_more.__self__.open_connections == 20
        for each in waiting:
            each.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(each, post(INFER, b""))
        for each in waiting:
            assert (await asyncio.get_running_loop().sock_recv(each, 12)) == b"HTTP/1.1 503"
            each.close()


class Rounds:
    """A clock that the test moves, and a crowd whose loop it counts by."""

    def __init__(self):
        self.now, self.counted, self.seen, self.logged = 0.0, 0, 0, []
        self.crowd = Crowd(self.count, self.log, on=True, clock=lambda: self.now)
        self.crowd.on_busy_round(self.see)

    def count(self):
        self.counted += 1

    def log(self, address, limit):
        self.logged.append((address, limit))

    def see(self):
        self.seen += 1

    async def pass_by(self, seconds, arrivals, in_flight=400, priority=None):
        """One round of ``seconds`` with so many requests; how many were refused."""
        refused = sum(self.crowd.refuses(in_flight, priority, b"/x") for _ in range(arrivals))
        await asyncio.sleep(0)
        self.now += seconds
        return refused


@looped
async def test_long_rounds_make_a_crowd_and_silence_ends_it():
    rounds = Rounds()
    assert [await rounds.pass_by(0.1, 10) for _ in range(4)] == [0] * 4
    assert rounds.crowd.limit == pytest.approx(100)
    assert await rounds.pass_by(0.1, 10) == 10 == rounds.counted
    assert rounds.logged == [(b"/x", pytest.approx(100))] * 10
    assert await rounds.pass_by(0.1, 10, in_flight=99, priority=b"critical") == 0
    assert await rounds.pass_by(0.1, 10, in_flight=99, priority=b"Sheddable") == 10
    assert await rounds.pass_by(0.1, 10, in_flight=LEAST - 1) == 0
    for _ in range(20):  # each of them ends
        await rounds.pass_by(0.001, 1, in_flight=0)
        await rounds.pass_by(INTERVAL, 0)
        await rounds.pass_by(INTERVAL, 0)
    assert await rounds.pass_by(0.001, 10) == 0
    assert rounds.crowd.limit == math.inf


@looped
async def test_there_is_no_limit_while_it_is_off_and_none_after_a_long_silence():
    rounds = Rounds()
    for _ in range(4):
        await rounds.pass_by(0.1, 10)
    await rounds.pass_by(0.1, 0)
    limit = rounds.crowd.limit
    assert limit < 1000
    rounds.crowd.on = False
    assert rounds.crowd.limit == math.inf
    rounds.crowd.on = True
    rounds.now += 5
    assert rounds.crowd.limit == limit
    rounds.now += 6
    assert rounds.crowd.limit == math.inf


@looped
async def test_short_rounds_make_none():
    rounds = Rounds()
    assert [await rounds.pass_by(TARGET / 2, 10) for _ in range(100)] == [0] * 100
    assert rounds.seen == 99  # the last one is not over


class Limited(Crowding):
    """Lets nobody in, whatever the loop does."""

    def __init__(self):
        super().__init__()
        self.limit = self.limit_at(0)

    def admits(self, in_flight, share=1.0):
        return False

    def limit_at(self, now):
        return 112.0


def test_it_belongs_to_admission_and_changes_with_it(tmp_path, monkeypatch):
    store = make_store(tmp_path)
    body = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]})

    async def run():
        without = settings(store, {"engine": ENGINE})
        within = settings(store, {"engine": ENGINE}, admission={})
        async with running(without) as (app, addresses), aiohttp.ClientSession() as session:
            crowd = app._server.crowd
            said = app.metrics.registry.get_sample_value
            crowd._rule = Limited()

            async def ask():
                async with session.post(f"http://{addresses['http']}{INFER}", data=body) as answer:
                    return answer.status

            assert await ask() == 200
            assert said("gateway_crowd_limit") is None
            await app.reconfigure(within)
            assert await ask() == 503
            assert said("gateway_rejected_total", {"reason": "crowded"}) == 1
            assert said("gateway_crowd_limit") == 112
            (line,) = (each for each in lines() if each["event"] == "turned away")
            assert (line["path"], line["limit"]) == (INFER, 112)
            async with session.get(f"http://{addresses['http']}/v2/health/ready") as answer:
                assert answer.status == 200
            await app.reconfigure(without)
            assert await ask() == 200
            assert said("gateway_crowd_limit") is None

    with logged(monkeypatch, "gateway.telemetry.access_log") as lines:
        uvloop.run(run())
