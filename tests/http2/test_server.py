"""The server's end of a connection: what streams see, and what the client is told."""

import asyncio
import functools
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.virtual_time import run_virtual

from gateway.http2 import answers
from gateway.http2 import frames as http2
from gateway.http2.header_blocks import encode
from gateway.http2.server import ServerConnection
from gateway.http2.server_stream import Bounds, ServerStream

HEAD = encode([(b":path", b"/a")])
ANSWER = encode([(b":status", b"200")])
TRAILERS = encode([(b"grpc-status", b"0")])
GREETING = http2.PREFACE + http2.frame(http2.SETTINGS)
HEAD_SECONDS, BODY_SECONDS = 10.0, 60.0
# In pieces, with everything that may surround a block.
PRIORITY = http2.PRIORITY_FLAG | http2.PADDED


class Transport(asyncio.Transport):
    """Keeps what is written; the client reads it only where the test says so."""

    def __init__(self):
        super().__init__()
        self.written = b""
        self.closed = self.aborted = False
        self.limits = []

    def get_extra_info(self, name, default=None):
        return ("192.0.2.1", 1234) if name == "peername" else default

    def set_write_buffer_limits(self, high=None, low=None):
        self.limits.append(high)

    def writelines(self, pieces):
        assert not self.is_closing()
        self.written += b"".join(pieces)

    def is_closing(self):
        return self.closed or self.aborted

    def close(self):
        self.closed = True

    def abort(self):
        self.aborted = True


class Stream(ServerStream):
    """Notes what happens to it, DATA in a row as one."""

    def __init__(self, client, number, head):
        super().__init__()
        self.client, self.number, self.events = client, number, [("head", head)]

    def begin(self):
        self.events.append("begin")
        self.client.on_begin(self)

    def data(self, payload):
        if isinstance(self.events[-1], tuple) and self.events[-1][0] == "data":
            payload = self.events.pop()[1] + payload
        self.events.append(("data", payload))

    def end(self):
        assert self.complete
        self.events.append("end")

    def late(self):
        self.events.append("late")
        self.answer()

    def drained(self):
        self.events.append("drained")

    def abandoned(self):
        self.events.append("abandoned")
        if not self.client.slow_to_unwind:
            self.client.connection.unwound()

    @property
    def answers(self):
        return self.client.connection.answers

    def answer(self, body=b"yes"):
        self.answers.answer(self.number, ANSWER, b"", body, TRAILERS)


class Endless(Stream):
    endless = True


@dataclass
class Client:
    """The other end, and what the server made of its requests."""

    streams: int = 5
    kind: type = Stream
    slow_to_unwind: bool = False
    made: list = field(default_factory=list)
    lost: list = field(default_factory=list)
    opened: dict = field(default_factory=dict)
    on_begin: object = lambda stream: None

    def __post_init__(self):
        self.transport = Transport()
        self.connection = ServerConnection(
            tuple,
            self.open,
            Bounds(self.streams, 100_000, HEAD_SECONDS, BODY_SECONDS),
            memoryview(bytearray(100)),
            self.made.append,
            self.lost.append,
        )
        self.connection.connection_made(self.transport)
        self.reader = http2.FrameReader(2**24)

    def open(self, connection, number, head):
        assert connection is self.connection
        stream = self.opened[number] = self.kind(self, number, head)
        return stream

    def send(self, *frames):
        self.connection.received(b"".join(frames))

    async def frames(self):
        """What came since the last time."""
        await asyncio.sleep(0)
        written, self.transport.written = self.transport.written, b""
        return self.reader.feed(written)

    async def greeted(self):
        self.send(GREETING)
        await self.frames()
        return self

    def request(self, number, body=b"", *, end=True):
        flags = http2.END_STREAM if end else 0
        self.send(
            http2.frame(http2.HEADERS, http2.END_HEADERS, number, HEAD), http2.frame(http2.DATA, flags, number, body)
        )
        return self.opened.get(number)


def virtual(test):
    """``test`` in virtual time."""

    @functools.wraps(test)
    def run(*arguments, **named):
        return run_virtual(test(*arguments, **named))

    return run


def of_kind(frames, kind):
    return [frame for frame in frames if frame[0] == kind]


def resets(frames):
    return [(number, int.from_bytes(payload, "big")) for kind, _, number, payload in frames if kind == http2.RST_STREAM]


def goaways(frames):
    """Last streams and codes."""
    return [
        (int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big"))
        for _, _, _, payload in of_kind(frames, http2.GOAWAY)
    ]


def answered(frames, number):
    """Body and last header block of an answer that has ended."""
    own = [frame for frame in frames if frame[2] == number and frame[0] in (http2.DATA, http2.HEADERS)]
    assert own[0][:2] == (http2.HEADERS, http2.END_HEADERS)
    assert [bool(flags & http2.END_STREAM) for _, flags, _, _ in own] == [False] * (len(own) - 1) + [True]
    return b"".join(payload for kind, _, _, payload in own if kind == http2.DATA), own[-1][3]


# ---- greeting


@virtual
async def test_the_client_is_greeted_before_it_says_anything():
    client = Client()
    settings, window = await client.frames()
    assert dict(http2.read_settings(settings[3])) == {
        http2.MAX_CONCURRENT_STREAMS: 5,
        http2.INITIAL_WINDOW_SIZE: 100_000,
        http2.MAX_FRAME_SIZE: 2**20,
        http2.MAX_HEADER_LIST_SIZE: 16 * 1024,
    }
    assert window[0] == http2.WINDOW_UPDATE
    assert http2.read_number(window[3]) + http2.FIRST_WINDOW == http2.GREATEST_WINDOW
    assert client.made == [client.connection]
    assert client.connection.peer == "192.0.2.1"
    client.send(GREETING)
    assert await client.frames() == [(http2.SETTINGS, http2.ACK, 0, b"")]
    assert not client.transport.is_closing()


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", http2.PREFACE[:-1] + b"x", b"PRI * HTTP/2.1"])
@virtual
async def test_who_does_not_begin_with_the_preface_is_left(said):
    client = Client()
    client.send(said)
    assert client.transport.closed


# ---- requests


def sessions():
    body = bytes(range(200))
    padded = b"\5" + body + bytes(5)
    pieces = [
        GREETING,
        http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 1, HEAD),
        http2.frame(http2.HEADERS, http2.END_HEADERS | PRIORITY, 3, b"\3prio!" + HEAD + bytes(3)),
        http2.frame(http2.DATA, http2.PADDED, 3, padded),
        http2.frame(http2.PRIORITY, 0, 3, b"prio!"),
        http2.frame(http2.HEADERS, http2.END_STREAM, 5, HEAD[:3]),
        http2.frame(http2.CONTINUATION, 0, 5, HEAD[3:5]),
        http2.frame(http2.CONTINUATION, http2.END_HEADERS, 5, HEAD[5:]),
        http2.frame(0x55, 0xFF, 3, b"what nobody knows"),
        http2.frame(http2.DATA, 0, 3, body),
        http2.frame(http2.DATA, http2.END_STREAM, 3, b""),
        http2.frame(http2.HEADERS, http2.END_HEADERS, 7, HEAD),
        http2.frame(http2.DATA, http2.END_STREAM, 7, body),
        http2.frame(http2.HEADERS, http2.END_HEADERS, 9, HEAD),
        http2.frame(http2.DATA, 0, 9, b"with trailers"),
        http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 9, HEAD),
    ]
    begun = [("head", ((b":path", b"/a"),)), "begin"]
    events = {
        1: [*begun, "end"],
        3: [*begun, ("data", body + body), "end"],
        5: [*begun, "end"],
        7: [*begun, ("data", body), "end"],
        9: [*begun, ("data", b"with trailers"), "end"],
    }
    return b"".join(pieces), events


@given(st.lists(st.integers(1, 60), max_size=60))
def test_streams_see_the_same_however_the_bytes_are_cut(cuts):
    data, events = sessions()

    @virtual
    async def play():
        client, rest = Client(), data
        for cut in [*cuts, len(data)]:
            if rest:
                client.send(rest[:cut])
                rest = rest[cut:]
        assert goaways(await client.frames()) == []
        return {number: stream.events for number, stream in client.opened.items()}

    assert play() == events


def test_every_octet_may_come_alone():
    data, events = sessions()

    @virtual
    async def play():
        client = Client()
        for position in range(len(data)):
            client.send(data[position : position + 1])
        return {number: stream.events for number, stream in client.opened.items()}

    assert play() == events


@virtual
async def test_an_answer_is_head_body_and_trailers():
    client = await Client().greeted()
    client.request(1, b"x").answer(b"body")
    frames = await client.frames()
    assert frames == [
        (http2.HEADERS, http2.END_HEADERS, 1, ANSWER),
        (http2.DATA, 0, 1, b"body"),
        (http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 1, TRAILERS),
    ]


@virtual
async def test_a_request_that_is_answered_before_its_end_is_cut_off():
    client = await Client().greeted()
    client.request(1, b"x", end=False).answer()
    frames = await client.frames()
    assert answered(frames, 1) == (b"yes", TRAILERS)
    assert resets(frames) == [(1, http2.NO_ERROR)]
    # What was under way still comes, and trailers.
    client.send(http2.frame(http2.DATA, 0, 1, b"more"), http2.frame(http2.RST_STREAM, 0, 1, http2.number(8)))
    client.send(http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 1, HEAD))
    assert await client.frames() == []
    assert "abandoned" not in client.opened[1].events


@virtual
async def test_one_stream_too_many_is_refused():
    client = await Client(streams=2).greeted()
    client.request(1), client.request(3)
    assert client.request(5, b"x") is None
    assert resets(await client.frames()) == [(5, http2.REFUSED_STREAM)]
    client.opened[1].answer()
    assert client.request(7) is not None
    assert resets(await client.frames()) == []


@virtual
async def test_streams_that_unwind_count_until_they_have():
    client = await Client(streams=2, slow_to_unwind=True).greeted()
    for number in (1, 3):
        client.request(number)
        client.send(http2.frame(http2.RST_STREAM, 0, number, http2.number(http2.CANCEL)))
        assert client.opened[number].events[-1] == "abandoned"
    client.request(5)
    assert resets(await client.frames()) == [(5, http2.REFUSED_STREAM)]
    client.connection.unwound()
    assert client.request(7) is not None


@virtual
async def test_what_a_stream_has_read_may_be_replaced():
    client = await Client().greeted()
    client.request(1, b"x", end=False)
    client.connection.read_more(1, 500)
    assert await client.frames() == [(http2.WINDOW_UPDATE, 0, 1, http2.number(500))]
    client.opened[1].answer()
    await client.frames()
    client.connection.read_more(1, 500)
    assert await client.frames() == []


# ---- time


@virtual
async def test_a_body_has_so_much_time():
    client = await Client().greeted()
    client.request(1, b"x", end=False)
    client.request(3, b"x")
    await asyncio.sleep(BODY_SECONDS - 1)
    assert "late" not in client.opened[1].events
    await asyncio.sleep(HEAD_SECONDS + 2)
    assert client.opened[1].events[-1] == "late"
    assert "late" not in client.opened[3].events  # the time of the answer is not the client's
    frames = await client.frames()
    assert answered(frames, 1) == (b"yes", TRAILERS)
    assert resets(frames) == [(1, http2.NO_ERROR)]


@virtual
async def test_endless_requests_have_all_the_time():
    client = await Client(kind=Endless).greeted()
    client.request(1, b"x", end=False)
    await asyncio.sleep(10 * BODY_SECONDS)
    assert "late" not in client.opened[1].events
    assert not client.transport.is_closing()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        http2.PREFACE[:5],
        http2.PREFACE,
        GREETING + http2.frame(http2.HEADERS, 0, 1, HEAD),
    ],
    ids=["nothing", "half a preface", "no settings", "half a head"],
)
@virtual
async def test_a_head_has_so_much_time(said):
    client = Client()
    if said:
        client.send(said)
    await asyncio.sleep(HEAD_SECONDS - 1)
    assert not client.transport.closed
    await asyncio.sleep(HEAD_SECONDS + 2)
    assert goaways(await client.frames()) == [(0, http2.SETTINGS_TIMEOUT)]
    assert client.transport.closed


@virtual
async def test_a_head_that_goes_on_for_ever_ends_in_time():
    client = await Client().greeted()
    client.send(http2.frame(http2.HEADERS, 0, 1, HEAD))
    for _ in range(30):
        await asyncio.sleep(1)
        if client.transport.closed:
            break
        client.send(http2.frame(http2.CONTINUATION, 0, 1, b""))
    assert client.transport.closed


@virtual
async def test_idle_connections_stay():
    client = await Client().greeted()
    client.request(1).answer()
    await asyncio.sleep(3600)
    assert not client.transport.is_closing()
    assert goaways(await client.frames()) == []


# ---- answers that wait


@virtual
async def test_an_answer_waits_for_the_window_and_counts_meanwhile():
    client = await Client(streams=1).greeted()
    body = bytes(100_000)
    client.request(1).answer(body)
    frames = await client.frames()
    assert sum(len(frame[3]) for frame in of_kind(frames, http2.DATA)) == http2.FIRST_WINDOW
    client.request(3)
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 1, http2.number(40_000)))
    assert resets(await client.frames()) == [(3, http2.REFUSED_STREAM)]
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(40_000)))
    frames += await client.frames()
    assert answered(frames, 1) == (body, TRAILERS)
    assert client.request(5) is not None


@virtual
async def test_an_answer_waits_for_the_transport():
    client = await Client().greeted()
    client.connection.pause_writing()
    client.request(1).answer(b"body")
    assert of_kind(held := await client.frames(), http2.DATA) == []
    client.connection.resume_writing()
    assert answered(held + await client.frames(), 1) == (b"body", TRAILERS)


@virtual
async def test_a_stream_of_answers_is_told_when_it_may_go_on():
    client = await Client().greeted()
    stream = client.request(1)
    stream.answers.begin(1, ANSWER)
    assert stream.answers.send(1, b"small")
    assert not stream.answers.send(1, bytes(http2.FIRST_WINDOW))
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 1, http2.number(5)))
    assert stream.events[-1] == "end"
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(5)))
    assert stream.events[-1] == "drained"
    stream.answers.finish(1, TRAILERS)
    assert answered(await client.frames(), 1) == (b"small" + bytes(http2.FIRST_WINDOW), TRAILERS)


@virtual
async def test_an_answer_that_nobody_takes_is_given_up():
    client = await Client().greeted()
    client.request(1).answer(bytes(100_000))
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(10)))
    await client.frames()
    await asyncio.sleep(BODY_SECONDS - 1)
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 1, http2.number(10)))  # it does take some
    await asyncio.sleep(BODY_SECONDS - 1)
    assert resets(await client.frames()) == []
    await asyncio.sleep(HEAD_SECONDS + 2)
    assert resets(await client.frames()) == [(1, http2.CANCEL)]
    assert client.opened[1].events[-1] == "abandoned"


@virtual
async def test_what_the_client_has_given_up_is_not_sent():
    client = await Client().greeted()
    client.request(1).answer(bytes(100_000))
    client.send(http2.frame(http2.RST_STREAM, 0, 1, http2.number(http2.CANCEL)))
    await client.frames()
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 1, http2.number(100_000)))
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(100_000)))
    assert await client.frames() == []


@virtual
async def test_the_clients_window_and_frames_are_heeded():
    client = Client()
    values = {http2.INITIAL_WINDOW_SIZE: 70_000, http2.MAX_FRAME_SIZE: 30_000}
    client.send(http2.PREFACE, http2.frame(http2.SETTINGS, 0, 0, http2.settings(values)))
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(100_000)))
    client.request(1).answer(bytes(80_000))
    lengths = [len(frame[3]) for frame in of_kind(await client.frames(), http2.DATA)]
    assert max(lengths) == 30_000
    assert sum(lengths) == 70_000


# ---- the end


@virtual
async def test_the_client_is_first_asked_to_go_and_then_left():
    client = await Client().greeted()
    client.request(1)
    client.connection.go_away()
    assert goaways(await client.frames()) == [(http2.GREATEST_STREAM, http2.NO_ERROR)]
    client.request(3)  # is served still
    client.connection.leave()
    assert goaways(await client.frames()) == [(3, http2.NO_ERROR)]
    assert client.request(5, b"x") is None
    client.send(
        http2.frame(http2.RST_STREAM, 0, 5, http2.number(8)), http2.frame(http2.WINDOW_UPDATE, 0, 5, http2.number(8))
    )
    client.opened[1].answer()
    await asyncio.sleep(10)
    assert not client.transport.closed
    client.opened[3].answer()
    frames = await client.frames()
    assert answered(frames, 1) == answered(frames, 3) == (b"yes", TRAILERS)
    assert resets(frames) == goaways(frames) == []
    assert not client.transport.closed  # the client has time to close it itself
    await asyncio.sleep(2)
    assert client.transport.closed


@virtual
async def test_a_connection_with_nothing_under_way_is_closed_soon():
    client = await Client().greeted()
    client.connection.leave()
    await asyncio.sleep(2)
    assert client.transport.closed


@virtual
async def test_who_is_gone_wants_no_answers():
    client = await Client().greeted()
    client.request(1), client.request(3, b"x", end=False)
    client.connection.connection_lost(None)
    assert [stream.events[-1] for stream in client.opened.values()] == ["abandoned"] * 2
    assert client.lost == [client.connection]
    await asyncio.sleep(1000)  # and no timer goes on
    assert "late" not in client.opened[3].events


# ---- what is not HTTP/2

HEADERS = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, HEAD)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (http2.frame(http2.HEADERS, http2.END_HEADERS, 2, HEAD), http2.PROTOCOL_ERROR),
        (http2.frame(http2.HEADERS, http2.END_HEADERS, 0, HEAD), http2.PROTOCOL_ERROR),
        (http2.frame(http2.DATA, 0, 3, b"x"), http2.PROTOCOL_ERROR),
        (http2.frame(http2.DATA, 0, 0, b"x"), http2.PROTOCOL_ERROR),
        (http2.frame(http2.RST_STREAM, 0, 3, http2.number(8)), http2.PROTOCOL_ERROR),
        (http2.frame(http2.RST_STREAM, 0, 1, b"abc"), http2.FRAME_SIZE_ERROR),
        (http2.frame(http2.HEADERS, 0, 3, HEAD) + http2.frame(http2.PING, 0, 0, bytes(8)), http2.PROTOCOL_ERROR),
        (http2.frame(http2.HEADERS, 0, 3, HEAD) + http2.frame(http2.CONTINUATION, 4, 5, HEAD), http2.PROTOCOL_ERROR),
        (http2.frame(http2.CONTINUATION, http2.END_HEADERS, 1, HEAD), http2.PROTOCOL_ERROR),
        (http2.frame(http2.PING, 0, 0, bytes(7)), http2.FRAME_SIZE_ERROR),
        (http2.frame(http2.SETTINGS, 0, 0, bytes(5)), http2.FRAME_SIZE_ERROR),
        (http2.frame(http2.SETTINGS, 0, 1), http2.PROTOCOL_ERROR),
        (http2.frame(http2.SETTINGS, 0, 0, http2.settings({http2.MAX_FRAME_SIZE: 16_383})), http2.PROTOCOL_ERROR),
        (http2.frame(http2.SETTINGS, 0, 0, http2.settings({http2.MAX_FRAME_SIZE: 2**24})), http2.PROTOCOL_ERROR),
        (
            http2.frame(http2.SETTINGS, 0, 0, http2.settings({http2.INITIAL_WINDOW_SIZE: 2**31})),
            http2.FLOW_CONTROL_ERROR,
        ),
        (http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(2**31 - 1)), http2.FLOW_CONTROL_ERROR),
        (http2.frame(http2.WINDOW_UPDATE, 0, 1, http2.number(2**31 - 1)), http2.FLOW_CONTROL_ERROR),
        (http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(0)), http2.PROTOCOL_ERROR),
        (http2.frame(http2.WINDOW_UPDATE, 0, 3, http2.number(1)), http2.PROTOCOL_ERROR),
        (http2.frame(http2.WINDOW_UPDATE, 0, 0, bytes(5)), http2.FRAME_SIZE_ERROR),
        (http2.frame(http2.PUSH_PROMISE, 0, 1, bytes(4)), http2.PROTOCOL_ERROR),
        (http2.frame(http2.HEADERS, http2.END_HEADERS, 3, b"\xff\xff\xff\xff\xff\xff"), http2.COMPRESSION_ERROR),
        (http2.frame(http2.HEADERS, http2.END_HEADERS, 1, HEAD), http2.PROTOCOL_ERROR),  # trailers that end nothing
        (http2.frame(http2.DATA, http2.PADDED, 1, b"\5abc"), http2.PROTOCOL_ERROR),
        (http2.head(2**20 + 1, http2.DATA, 0, 1), http2.FRAME_SIZE_ERROR),
        (
            http2.frame(http2.HEADERS, 0, 3, bytes(200_000)) + http2.frame(http2.CONTINUATION, 0, 3, bytes(200_000)),
            http2.ENHANCE_YOUR_CALM,
        ),
        (http2.frame(http2.HEADERS, http2.END_HEADERS, 3, bytes(300_000)), http2.ENHANCE_YOUR_CALM),
    ],
)
@virtual
async def test_an_error_ends_the_connection_with_its_code(said, code):
    client = await Client().greeted()
    client.send(HEADERS)
    client.send(said)
    assert goaways(await client.frames()) == [(1, code)]
    assert client.transport.closed


@pytest.mark.parametrize(
    "said",
    [
        HEADERS,
        http2.frame(http2.PING, 0, 0, bytes(8)),
        http2.frame(http2.SETTINGS, http2.ACK) + HEADERS,
        http2.frame(http2.DATA, 0, 1),
    ],
)
@virtual
async def test_the_first_frame_is_settings(said):
    client = Client()
    client.send(http2.PREFACE, said)
    assert goaways(await client.frames()) == [(0, http2.PROTOCOL_ERROR)]
    assert client.transport.closed
    assert not client.opened


@virtual
async def test_pings_are_answered():
    client = await Client().greeted()
    client.send(http2.frame(http2.PING, 0, 0, b"8 octets"), http2.frame(http2.PING, http2.ACK, 0, b"8 octets"))
    assert await client.frames() == [(http2.PING, http2.ACK, 0, b"8 octets")]


@pytest.mark.parametrize(
    "frame",
    [http2.frame(http2.PING, 0, 0, bytes(8)), http2.frame(http2.SETTINGS)],
    ids=["pings", "settings"],
)
@virtual
async def test_replies_to_who_does_not_read_them_are_bounded(frame):
    client = await Client().greeted()
    client.connection.pause_writing()
    few = frame * (answers._MAX_REPLIES - 100)
    client.send(few)
    client.connection.resume_writing()  # it does read
    client.connection.pause_writing()
    client.send(few)
    assert not client.transport.aborted
    client.send(few)
    assert client.transport.aborted


@virtual
async def test_answers_to_who_does_not_read_them_are_bounded():
    client = await Client().greeted()
    client.on_begin = lambda stream: stream.answers.answer_empty(stream.number, ANSWER)
    client.connection.pause_writing()
    for number in range(1, 4 * answers._MAX_REPLIES, 2):
        client.send(http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, number, HEAD))
        if client.transport.aborted:
            break
    assert client.transport.aborted


@virtual
async def test_the_clients_table_of_headers_is_followed():
    client = await Client().greeted()
    client.send(http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 1, b"\x40\1a\1x"))
    client.send(http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, 3, b"\xbe"))
    assert client.opened[3].events[0] == ("head", ((b"a", b"x"),))


@virtual
async def test_data_after_the_end_of_a_request_is_none_of_it():
    client = await Client().greeted()
    client.request(1, b"x")
    client.send(http2.frame(http2.DATA, http2.END_STREAM, 1, b"more"))
    assert client.opened[1].events[-2:] == [("data", b"x"), "end"]


@virtual
async def test_the_reserved_bit_of_a_window_is_ignored():
    client = await Client().greeted()
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(0x8000_0001)))
    assert not goaways(await client.frames())


@virtual
async def test_a_frame_that_does_not_come_to_its_end_ends_the_connection():
    client = await Client().greeted()
    head = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, HEAD)
    for octet in head[:-1]:
        await asyncio.sleep(HEAD_SECONDS / 5)
        client.send(bytes([octet]))
        if client.transport.closed:
            break
    assert client.transport.closed
    assert goaways(await client.frames()) == [(0, http2.SETTINGS_TIMEOUT)]


@virtual
async def test_frames_that_are_slow_and_come_to_their_ends_end_no_connection():
    client = await Client().greeted()
    for number in range(1, 20, 2):
        for octet in http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, number, HEAD):
            await asyncio.sleep(HEAD_SECONDS / 40)
            client.send(bytes([octet]))
        client.opened[number].answer()
    assert not client.transport.closed


@virtual
async def test_an_answer_that_nobody_takes_is_given_up_while_others_go_on():
    client = await Client().greeted()
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 0, http2.number(10_000_000)))
    for number in (1, 3):
        client.request(number).answer(bytes(100_000))
    await client.frames()
    for _ in range(20):  # of the second one, a little at a time
        await asyncio.sleep(BODY_SECONDS / 10)
        client.send(http2.frame(http2.WINDOW_UPDATE, 0, 3, http2.number(10)))
    assert resets(await client.frames()) == [(1, http2.CANCEL)]
    assert client.opened[1].events[-1] == "abandoned"
    client.send(http2.frame(http2.WINDOW_UPDATE, 0, 3, http2.number(100_000)))
    assert (await client.frames())[-1][1] & http2.END_STREAM


@virtual
async def test_padding_makes_room_for_more():
    client = await Client(kind=Endless).greeted()
    client.request(1, end=False)
    await client.frames()
    client.send(http2.frame(http2.DATA, http2.PADDED, 1, b"\x05ab" + bytes(5)))
    updates = of_kind(await client.frames(), http2.WINDOW_UPDATE)
    assert updates == [(http2.WINDOW_UPDATE, 0, 1, http2.number(6))]
    assert client.opened[1].events[-1] == ("data", b"ab")
