from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.http2 import frames as http2
from gateway.http2.frames import FIRST_WINDOW, GREATEST_WINDOW, LEAST_MAX_FRAME, FrameReader, ProtocolError
from gateway.http2.send_flow import SendFlow


def received(pieces: Iterable[bytes | memoryview]) -> list[http2.Frame]:
    return FrameReader(2**24).feed(b"".join(pieces))


class Peer(RuleBasedStateMachine):
    """A peer that keeps its own account of every window and trusts nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.flow = SendFlow()
        self.connection = self.initial = FIRST_WINDOW
        self.windows: dict[int, int] = {}
        self.bodies: dict[int, bytes] = {}
        self.here: dict[int, bytes] = {}
        self.trailers: dict[int, bytes | None] = {}  # of the streams that are to end; b"" where DATA ends them
        self.ended: set[int] = set()

    def take(self, pieces: Iterable[bytes | memoryview]) -> None:
        for kind, flags, stream, payload in received(pieces):
            assert not self.flow.held
            assert stream not in self.ended
            if kind == http2.HEADERS:  # after all of the body, once
                assert self.here[stream] == self.bodies[stream]
                assert payload == self.trailers[stream] == b"trailers"
            else:
                assert kind == http2.DATA
                assert len(payload) <= self.flow.max_frame
                self.connection -= len(payload)
                self.windows[stream] -= len(payload)
                assert not payload or min(self.connection, self.windows[stream]) >= 0
                self.here[stream] += payload
                assert not flags & http2.END_STREAM or self.trailers[stream] == b""
            if flags & http2.END_STREAM:
                self.ended.add(stream)

    def some_stream(self, data: st.DataObject, *, ending: bool) -> int | None:
        found = sorted(stream for stream, last in self.trailers.items() if ending or last is None)
        return data.draw(st.sampled_from(found)) if found else None

    def say(self, stream: int, length: int, last: bytes | None) -> None:
        body = bytes([stream % 256]) * length
        self.bodies[stream] += body
        self.trailers[stream] = last
        trailers = http2.frame(http2.HEADERS, http2.END_STREAM, stream, last) if last else last
        self.take(self.flow.send(stream, body, trailers))

    @rule(length=st.integers(0, 100_000), last=st.sampled_from([b"", b"trailers", None]), early=st.integers(0, 60_000))
    def open(self, length: int, last: bytes | None, early: int) -> None:
        stream = 1 + 2 * len(self.bodies)
        self.windows[stream] = self.initial + early
        self.bodies[stream] = self.here[stream] = b""
        if early:  # than anything is sent
            self.trailers[stream] = None
            self.take(self.flow.enlarge(stream, early))
        self.say(stream, length, last)

    @rule(length=st.integers(0, 50_000), last=st.sampled_from([b"", b"trailers", None, None]), data=st.data())
    def send_more(self, length: int, last: bytes | None, data: st.DataObject) -> None:
        stream = self.some_stream(data, ending=False)
        if stream is not None:
            self.say(stream, length, last)

    @rule()
    def hold(self) -> None:
        self.flow.held = True

    @rule()
    def release(self) -> None:
        self.flow.held = False
        self.take(self.flow.possible())

    @rule(increment=st.integers(1, 60_000))
    def enlarge_connection(self, increment: int) -> None:
        self.connection += increment
        self.take(self.flow.enlarge(0, increment))

    @rule(increment=st.integers(1, 60_000), data=st.data())
    def enlarge_stream(self, increment: int, data: st.DataObject) -> None:
        stream = self.some_stream(data, ending=True)
        if stream is not None and stream not in self.ended:
            self.windows[stream] += increment
            self.take(self.flow.enlarge(stream, increment))

    @rule(window=st.integers(0, 200_000))
    def resize(self, window: int) -> None:
        for stream in self.windows:
            self.windows[stream] += window - self.initial
        self.initial = window
        self.take(self.flow.resize(window))

    @rule(length=st.integers(LEAST_MAX_FRAME, 50_000))
    def longer_frames(self, length: int) -> None:
        self.flow.max_frame = length

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        stream = self.some_stream(data, ending=True)
        if stream is not None:
            assert self.flow.forget(stream) == self.waits(stream)
            self.ended.add(stream)
            self.bodies[stream] = self.here[stream]
            self.trailers[stream] = b""

    def waits(self, stream: int) -> bool:
        unsent = self.bodies[stream] != self.here[stream] or self.trailers[stream] is not None
        return stream not in self.ended and unsent

    @invariant()
    def it_knows_what_waits(self) -> None:
        for stream in self.bodies:
            assert self.flow.waits(stream) == self.waits(stream)
            assert self.flow.ended(stream) or stream not in self.ended

    @invariant()
    def nothing_waits_that_has_room(self) -> None:
        if not self.flow.held:
            for stream in filter(self.waits, self.bodies):
                assert self.bodies[stream] != self.here[stream]
                assert min(self.connection, self.windows[stream]) <= 0

    def teardown(self) -> None:
        self.release()
        self.enlarge_connection(20_000_000)
        for stream in self.bodies.keys() - self.ended:
            self.windows[stream] += 10_000_000
            self.take(self.flow.enlarge(stream, 10_000_000))
            if self.trailers[stream] is None:
                self.say(stream, 1, b"trailers")
        assert self.here == self.bodies
        assert self.ended == self.bodies.keys()


TestPeer = Peer.TestCase
TestPeer.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


def test_small_body_is_one_frame_that_ends_the_stream() -> None:
    assert received(SendFlow().send(5, b"abc")) == [(http2.DATA, http2.END_STREAM, 5, b"abc")]


def test_the_end_alone_needs_no_window() -> None:
    flow, trailers = SendFlow(), http2.frame(http2.HEADERS, http2.END_STREAM, 1, b"t")
    assert len(received(flow.send(1, bytes(FIRST_WINDOW), None))) == 4
    assert received(flow.send(1, b"", trailers))[-1] == (http2.HEADERS, http2.END_STREAM, 1, b"t")
    assert flow.ended(1)
    flow.send(3, b"", None)
    assert received(flow.send(3, b"")) == [(http2.DATA, http2.END_STREAM, 3, b"")]


@given(st.integers(GREATEST_WINDOW - FIRST_WINDOW + 1, GREATEST_WINDOW))
def test_too_large_a_window_is_refused(increment: int) -> None:
    flow = SendFlow()
    flow.send(1, bytes(100_000))
    for stream in (0, 1):
        with pytest.raises(ProtocolError, match="a window of"):
            flow.enlarge(stream, increment + 100_000)
    with pytest.raises(ProtocolError, match="a window of"):
        flow.resize(GREATEST_WINDOW + 1)
