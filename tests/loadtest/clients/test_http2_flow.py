from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from loadtest.clients import http2
from loadtest.clients.http2 import FIRST_WINDOW, GREATEST_WINDOW, LEAST_MAX_FRAME, FrameReader, ProtocolError
from loadtest.clients.http2_flow import SendFlow


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
        self.ended: set[int] = set()

    def take(self, pieces: Iterable[bytes | memoryview]) -> None:
        for kind, flags, stream, payload in received(pieces):
            assert kind == http2.DATA
            assert stream not in self.ended
            assert len(payload) <= self.flow.max_frame
            self.connection -= len(payload)
            self.windows[stream] -= len(payload)
            assert min(self.connection, self.windows[stream]) >= 0
            self.here[stream] += payload
            if flags & http2.END_STREAM:
                self.ended.add(stream)

    @rule(length=st.integers(1, 100_000))
    def open(self, length: int) -> None:
        stream = 1 + 2 * len(self.bodies)
        self.windows[stream] = self.initial
        self.bodies[stream] = bytes([stream % 256]) * length
        self.here[stream] = b""
        self.take(self.flow.open(stream, self.bodies[stream]))

    @rule(increment=st.integers(1, 60_000))
    def enlarge_connection(self, increment: int) -> None:
        self.connection += increment
        self.take(self.flow.enlarge(0, increment))

    @rule(increment=st.integers(1, 60_000), data=st.data())
    def enlarge_stream(self, increment: int, data: st.DataObject) -> None:
        if self.bodies:
            stream = data.draw(st.sampled_from(sorted(self.bodies)))
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
        if self.bodies:
            stream = data.draw(st.sampled_from(sorted(self.bodies)))
            assert self.flow.forget(stream) == (stream not in self.ended)
            self.ended.add(stream)
            self.bodies[stream] = self.here[stream]

    @invariant()
    def nothing_waits_that_has_room(self) -> None:
        for stream in self.bodies.keys() - self.ended:
            assert min(self.connection, self.windows[stream]) <= 0

    def teardown(self) -> None:
        self.enlarge_connection(10_000_000)
        for stream in self.bodies:
            self.windows[stream] += 1_000_000
            self.take(self.flow.enlarge(stream, 1_000_000))
        assert self.here == self.bodies
        assert self.ended == self.bodies.keys()


TestPeer = Peer.TestCase
TestPeer.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


def test_small_body_is_one_frame_that_ends_the_stream() -> None:
    assert received(SendFlow().open(5, b"abc")) == [(http2.DATA, http2.END_STREAM, 5, b"abc")]


@given(st.integers(GREATEST_WINDOW - FIRST_WINDOW + 1, GREATEST_WINDOW))
def test_too_large_a_window_is_refused(increment: int) -> None:
    flow = SendFlow()
    flow.open(1, bytes(100_000))
    for stream in (0, 1):
        with pytest.raises(ProtocolError, match="a window of"):
            flow.enlarge(stream, increment + 100_000)
    with pytest.raises(ProtocolError, match="a window of"):
        flow.resize(GREATEST_WINDOW + 1)
