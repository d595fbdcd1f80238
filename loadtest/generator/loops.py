"""The loops that make load. All count from the moment a request was due, so that waiting is never hidden.

Nothing here is a coroutine for each request: answers come back as calls, and a call sends the next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loadtest.calls import Call
from loadtest.clients import Client
from loadtest.clock import Clock
from loadtest.generator.recorder import Recorder

# A dead server refuses in microseconds: without a pause its callers would spin.
_PAUSE_AFTER_FAILURE = 0.01
# Requests sent in one go before the loop looks at its sockets again: what is late must not make answers late too.
_MOST_AT_ONCE = 32
# MLPerf's offline has everything due at once; so many requests are under way at a time.
OFFLINE_IN_FLIGHT = 64


class Loop:
    """Sends requests and waits until the last is answered.

    Arguments:
        client: connected to the target.
        recorder: takes the answers.
        order: numbers of the payloads in the order of sending; starts over at its end.
    """

    def __init__(self, client: Client, recorder: Recorder, order: Sequence[int], clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._start = client.start
        self._order = order
        self._sent = 0
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _send(self, scheduled: int) -> None:
        payload = self._order[self._sent % len(self._order)]
        self._sent += 1
        self._recorder.began()
        self._start(Call(payload, scheduled, self._finished))

    def _finished(self, call: Call) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)


class ClosedLoopRun(Loop):
    """Keeps ``concurrency`` requests in flight until the window ends; a request is due when its caller is free.

    The window opens after ``lead_in`` ns, and not before every caller has had an answer: the first requests find an
    idle server and tell nothing about a busy one.
    """

    async def run(self, concurrency: int, lead_in: int, length: int) -> None:
        """Return when the window of ``length`` ns is over and every request is answered."""
        self._length = length
        self._earliest = self._clock.now() + lead_in
        self._waiting = self._callers = concurrency
        for _ in range(concurrency):
            self._send(self._clock.now())
        await self._ended

    def _finished(self, call: Call) -> None:
        recorder = self._recorder
        recorder.finished(call)
        if self._waiting:
            self._waiting -= 1
            if not self._waiting:
                recorder.open(max(self._earliest, self._clock.now()), self._length)
        if call.failure:
            asyncio.get_running_loop().call_later(_PAUSE_AFTER_FAILURE, self._go_on)
        else:
            self._go_on()

    def _go_on(self) -> None:
        now = self._clock.now()
        if now < self._recorder.end:
            self._send(now)
            return
        self._callers -= 1
        if not self._callers:
            self._end()


class MultiStreamRun(Loop):
    """MLPerf's multi-stream: ``streams`` requests at once, the next query when all of them are answered."""

    async def run(self, streams: int, lead_in: int, length: int) -> None:
        """Return when the window of ``length`` ns is over and every request is answered."""
        self._streams = streams
        self._recorder.open(self._clock.now() + lead_in, length)
        self._query()
        await self._ended

    def _query(self) -> None:
        due = self._clock.now()
        if due >= self._recorder.end:
            self._end()
            return
        self._missing = self._streams
        self._failed = False
        for _ in range(self._streams):
            self._send(due)

    def _finished(self, call: Call) -> None:
        self._recorder.finished(call)
        self._failed |= bool(call.failure)
        self._missing -= 1
        if not self._missing:
            asyncio.get_running_loop().call_later(_PAUSE_AFTER_FAILURE if self._failed else 0, self._query)


class OpenLoopRun(Loop):
    """Sends a request at each due time, however slow the answers are.

    More than ``most_in_flight`` unanswered requests void the block: the schedule could not be kept any longer.
    """

    async def run(self, due: Sequence[int], most_in_flight: int) -> None:
        """Send at each clock time in ``due`` (ns, ascending); return when the window is over and all are answered."""
        self._due = due
        self._most_in_flight = most_in_flight
        self._all_sent = False
        self._send_due()
        await self._ended

    def _send_due(self) -> None:
        recorder, due = self._recorder, self._due
        for _ in range(_MOST_AT_ONCE):
            if self._sent == len(due) or due[self._sent] >= recorder.end:
                self._clock.call_at(recorder.end, self._window_over)  # no arrival is a measurement too
                return
            if due[self._sent] > self._clock.now():
                break
            if recorder.in_flight >= self._most_in_flight:
                recorder.void = f"cannot keep up: {self._most_in_flight} requests in flight"
                self._window_over()
                return
            self._send(due[self._sent])
        self._clock.call_at(due[self._sent] if self._sent < len(due) else recorder.end, self._send_due)

    def _window_over(self) -> None:
        self._all_sent = True
        if not self._recorder.in_flight:
            self._end()

    def _finished(self, call: Call) -> None:
        self._recorder.finished(call)
        if self._all_sent and not self._recorder.in_flight:
            self._end()


class OfflineRun(Loop):
    """MLPerf's offline: all requests are due at the start, ``OFFLINE_IN_FLIGHT`` are under way at a time."""

    async def run(self, requests: int) -> None:
        """Return when all ``requests`` are answered; that is the window's end."""
        recorder = self._recorder
        self._requests = requests
        self._due = self._clock.now()
        recorder.open(self._due, 2**62)
        for _ in range(min(requests, OFFLINE_IN_FLIGHT)):
            self._send(self._due)
        await self._ended
        recorder.close(self._clock.now())

    def _finished(self, call: Call) -> None:
        self._recorder.finished(call)
        if call.failure:
            asyncio.get_running_loop().call_later(_PAUSE_AFTER_FAILURE, self._go_on)
        else:
            self._go_on()

    def _go_on(self) -> None:
        if self._sent < self._requests and self._clock.now() < self._recorder.end:
            self._send(self._due)
        elif not self._recorder.in_flight:
            self._end()
