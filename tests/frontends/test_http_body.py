"""The rest of a large body, on uvicorn's own cycle."""

import asyncio
import logging

import pytest
from support.looped import looped
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.core.errors import PayloadTooLarge
from gateway.core.limits import Limits
from gateway.frontends.asgi import ClientDisconnected
from gateway.frontends.http_body import BodyRest

LIMITS = Limits(body_bytes=10, body_chunks=4)


class Transport:
    """Counts how often reading goes on."""

    def __init__(self):
        self.resumed = 0

    def pause_reading(self):
        pass

    def resume_reading(self):
        self.resumed += 1


class Upload:
    """A request whose body is on its way."""

    def __init__(self, *arrived):
        self.transport = Transport()
        log = logging.getLogger("uvicorn.error")
        self.flow = FlowControl(self.transport)
        self.cycle = RequestResponseCycle(
            {"method": "POST"},
            self.transport,
            self.flow,
            log,
            log,
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=lambda: None,
        )
        self.expected = []
        self.rest = BodyRest(self.cycle, self.expected.append)
        self.cycle.body += b"".join(arrived)

    async def begin(self, start=b"", length=None):
        task = asyncio.create_task(self.rest(start, length, LIMITS))
        await asyncio.sleep(0)
        return task

    def arrive(self, piece):
        assert self.rest.takes(piece)

    def end(self):
        self.cycle.more_body = False
        self.cycle.message_event.set()


@looped
async def test_what_was_read_what_has_arrived_and_what_comes_are_one_body():
    upload = Upload(b"cd")
    task = await upload.begin(b"ab")
    upload.arrive(b"ef")
    await asyncio.sleep(0)
    assert not task.done()
    upload.arrive(b"ghij")
    upload.end()
    assert await task == b"abcdefghij"
    assert upload.cycle.body == b""


@looped
async def test_a_body_that_is_complete_by_now_needs_no_waiting():
    upload = Upload(b"cd")
    upload.end()
    assert await upload.rest(b"ab", None, LIMITS) == b"abcd"
    upload.cycle.body += b"cd"
    assert await upload.rest(b"ab", 4, LIMITS) == b"abcd"


@looped
async def test_nothing_is_taken_before_and_after():
    upload = Upload()
    assert not upload.rest.takes(b"a")
    task = await upload.begin()
    upload.end()
    await task
    assert not upload.rest.takes(b"a")


@looped
async def test_reading_goes_on_where_it_was_stopped():
    upload = Upload(b"cd")
    upload.flow.pause_reading()
    task = await upload.begin()
    assert upload.transport.resumed == 1
    upload.end()
    await task


@looped
async def test_one_byte_too_many_is_refused_at_once():
    upload = Upload(b"cdefgh")
    task = await upload.begin(b"ab")
    upload.arrive(b"ij")
    await asyncio.sleep(0)
    assert not task.done()
    upload.arrive(b"k")
    with pytest.raises(PayloadTooLarge, match="over the limit of 10 bytes"):
        await task
    assert not upload.rest.takes(b"l")


@looped
async def test_many_tiny_pieces_are_refused():
    upload = Upload()
    task = await upload.begin()
    for _ in range(4):
        upload.arrive(b"a")
    with pytest.raises(PayloadTooLarge, match="over the limit of 4 chunks"):
        await task


@looped
async def test_a_client_that_leaves_in_the_middle_is_noticed():
    upload = Upload(b"ab")
    task = await upload.begin()
    upload.cycle.disconnected = True
    upload.cycle.message_event.set()
    with pytest.raises(ClientDisconnected):
        await task


@looped
async def test_who_gives_up_waiting_takes_no_more():
    upload = Upload(b"ab")
    task = await upload.begin()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not upload.rest.takes(b"c")


@looped
async def test_what_is_left_of_a_known_length_goes_where_it_stays():
    upload = Upload(b"cd")
    upload.flow.pause_reading()
    task = await upload.begin(b"ab", 100_004)
    (arrival,) = upload.expected
    assert (arrival.missing, upload.transport.resumed) == (100_000, 1)
    assert not upload.rest.takes(b"a"), "the parser gets none of it"
    arrival.room[:] = bytes(100_000)
    arrival.arrived(100_000)
    upload.end()
    assert await task == b"abcd" + bytes(100_000)
    assert upload.cycle.body == b""


@looped
async def test_a_little_that_is_left_goes_through_the_parser():
    upload = Upload()
    task = await upload.begin(b"ab", 4)
    upload.arrive(b"cd")
    upload.end()
    assert await task == b"abcd"
    assert upload.expected == []


@looped
async def test_a_client_that_leaves_in_the_middle_of_a_known_length_is_noticed():
    upload = Upload()
    task = await upload.begin(b"ab", 100_000)
    upload.cycle.disconnected = True
    upload.cycle.message_event.set()
    with pytest.raises(ClientDisconnected):
        await task
