"""What a connection does when nothing comes, on a virtual clock and without a network."""

import asyncio
import re

import pytest
from support.virtual_time import run_virtual

from gateway.core.limits import Limits
from gateway.http1 import connection as http1
from gateway.http1.connection import Connection
from gateway.http1.reply import Reply
from gateway.http1.serving import Serving

LIMITS = Limits(head_seconds=5.0, connections=2)
KEEP_ALIVE = 60.0
GET = b"GET / HTTP/1.1\r\n\r\n"


class Transport:
    """What is written, and whether it is closed."""

    def __init__(self):
        self.written, self.closed, self.paused = b"", False, False

    def write(self, data):
        self.written += data

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False

    def get_extra_info(self, _):
        return ("10.0.0.1", 1)


class Talk:
    """A connection whose client sends what the test says, at the times at which it says so."""

    def __init__(self, app, crowd=None):
        self.serving = Serving(app, LIMITS, KEEP_ALIVE, crowd)
        self.connection, self.transport = Connection(self.serving), Transport()
        self.connection.connection_made(self.transport)

    async def send(self, data):
        self.connection.get_buffer(-1)[: len(data)] = data
        self.connection.buffer_updated(len(data))
        for _ in range(3):
            await asyncio.sleep(0)

    @property
    def statuses(self):
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", self.transport.written)]


class Slow:
    """An application that answers when it may."""

    def __init__(self):
        self.may = asyncio.Event()

    async def __call__(self, request):
        await self.may.wait()
        return Reply(b"", [])


class Full:
    on = True

    def refuses(self, *_):
        return True


async def at_once(request):
    return Reply(b"", [])


def test_a_head_has_its_time_and_its_request_another():
    async def scenario():
        slow = Slow()
        talk = Talk(slow)
        await talk.send(GET[:10])
        await asyncio.sleep(LIMITS.head_seconds - 0.1)
        await talk.send(GET[10:])
        await asyncio.sleep(10 * LIMITS.head_seconds)
        slow.may.set()
        await asyncio.sleep(0.1)
        assert (talk.statuses, talk.transport.closed) == ([200], False)
        await talk.send(GET[:10])
        await asyncio.sleep(LIMITS.head_seconds + 0.1)
        assert (talk.statuses, talk.transport.closed) == ([200, 408], True)

    run_virtual(scenario())


def test_a_late_head_does_not_take_the_place_of_an_answer():
    async def scenario():
        slow = Slow()
        talk = Talk(slow)
        await talk.send(GET + GET[:10])
        await asyncio.sleep(LIMITS.head_seconds + 0.1)
        assert (talk.statuses, talk.transport.closed) == ([], False)
        slow.may.set()
        await asyncio.sleep(0.1)
        assert (talk.statuses, talk.transport.closed) == ([200], True)

    run_virtual(scenario())


@pytest.mark.parametrize("crowd", [None, Full()], ids=["answered", "turned away"])
def test_the_rest_of_a_body_that_nobody_wants_has_its_time(crowd):
    async def scenario():
        for seconds, closed in ((http1._DISCARD - 0.1, False), (http1._DISCARD + 0.1, True)):
            talk = Talk(at_once, crowd)
            await talk.send(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na")
            await asyncio.sleep(seconds)
            assert talk.transport.closed is closed
            if not closed:
                await talk.send(b"b")
                await asyncio.sleep(2 * http1._DISCARD)
                assert not talk.transport.closed
                await talk.send(GET)
                assert len(talk.statuses) == 2

    run_virtual(scenario())


def test_a_connection_may_be_idle_for_so_long_after_its_last_answer():
    async def scenario():
        talk = Talk(at_once)
        for _ in range(3):
            await asyncio.sleep(KEEP_ALIVE - 0.1)
            await talk.send(GET)
        await asyncio.sleep(KEEP_ALIVE - 0.1)
        assert (talk.statuses, talk.transport.closed) == ([200] * 3, False)
        await asyncio.sleep(0.2)
        assert talk.transport.closed

    run_virtual(scenario())


def test_who_waits_is_not_idle():
    async def scenario():
        slow = Slow()
        talk = Talk(slow)
        await talk.send(GET)
        await asyncio.sleep(3.5 * KEEP_ALIVE)
        assert not talk.transport.closed
        slow.may.set()
        await asyncio.sleep(KEEP_ALIVE - 0.1)
        assert (talk.statuses, talk.transport.closed) == ([200], False)
        await asyncio.sleep(0.2)
        assert talk.transport.closed

    run_virtual(scenario())


def test_a_client_that_has_closed_its_side_is_probed_less_and_less_often():
    async def scenario():
        async def app(request):
            request.client.cancel_when_gone()
            await asyncio.get_running_loop().create_future()

        talk = Talk(app)
        await talk.send(GET)
        assert talk.connection.eof_received()
        await asyncio.sleep(10)
        assert talk.statuses == [100] * 6  # after 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 s
        talk.transport.close()
        talk.connection.connection_lost(None)
        await asyncio.sleep(0.1)
        assert talk.serving.tasks == set()

    run_virtual(scenario())


def test_an_idle_client_that_closes_its_side_is_let_go():
    async def scenario():
        talk = Talk(at_once)
        await talk.send(GET)
        assert not talk.connection.eof_received()

    run_virtual(scenario())
