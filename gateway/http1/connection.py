"""The server's end of one HTTP/1.1 connection (RFC 9112): requests are answered in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import cast

import structlog

from gateway.core.arrival import Arrival
from gateway.http1.alarm import Alarm
from gateway.http1.client import Client, ClientDisconnected
from gateway.http1.reader import BadRequest, RequestReader
from gateway.http1.reading import Reading
from gateway.http1.refusals import BROKEN, SENT_AWAY, STOPPING, TURNED_AWAY, refusal
from gateway.http1.reply import Reply, encode_head
from gateway.http1.request import Request, expects_continue
from gateway.http1.serving import Serving

# Requests that may wait behind the one that is being answered; clients that pipeline send a few dozen.
MAX_PIPELINED = 256
# A body up to this goes with its head in one piece; to copy a larger one costs more than to send two.
_JOINED = 16 * 1024
# How long a client that has closed its side may wait before it is found out whether it is still there, in seconds.
_PROBE = 0.1
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# How long the rest of a body is read and thrown away after the request was refused, in seconds: closing at once would
# reset the connection, and the client would lose the answer.
_DISCARD = 10.0

_log = structlog.get_logger()


class Connection(asyncio.BufferedProtocol):
    """Bytes of a known number are received to where they stay, all others go to a ``RequestReader``.

    Attributes:
        client: who is at the other end.
    """

    def __init__(self, serving: Serving) -> None:
        self.client = Client()
        self._serving = serving
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(self._begin, self._piece, self._end, serving.limits.body_chunks)
        self._transport: asyncio.Transport
        self._reading: Reading
        self._arrival: Arrival | None = None
        self._incoming: Request | None = None  # whose body is being read
        self._current: Request | None = None  # which is being answered
        self._waiting: deque[Request] = deque()  # for that
        self._writable = True
        # Armed only while a head or a refused body is incomplete: most requests arrive whole, and cost no timer.
        self._alarm = Alarm(self._loop)
        self._idle_since = self._loop.time()
        self._idle_timer: asyncio.TimerHandle

    # ---- for requests

    def go_on(self, request: Request) -> None:
        if expects_continue(request.headers) and not request.has_begun:
            self._transport.write(_CONTINUE)
        self._reading.go_on()

    def expect(self, arrival: Arrival) -> None:
        self._arrival = arrival

    # ---- for the server

    def finish(self) -> None:
        """Close when what has been asked is answered."""
        last = self._last
        if last is None:
            self._transport.close()
        else:
            last.keep_alive = False

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # ---- asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._reading = Reading(self._transport)
        self._idle_timer = self._loop.call_later(self._serving.keep_alive, self._close_if_idle)
        peer = transport.get_extra_info("peername")
        self.client.host = peer[0] if isinstance(peer, tuple) else ""
        self._serving.connections.add(self)
        if len(self._serving.connections) > self._serving.limits.connections:
            self._refuse(503, "Too many connections.")

    def connection_lost(self, _: Exception | None) -> None:
        self._serving.connections.discard(self)
        self._alarm.stop()
        self._idle_timer.cancel()
        self._waiting.clear()
        self._reader.close()
        self.client.leave()
        if self._incoming is not None:
            self._incoming.wake()
            self._incoming = None

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self._serving.scratch if self._arrival is None else self._arrival.room

    def buffer_updated(self, nbytes: int) -> None:
        arrival = self._arrival
        if arrival is None:
            self._read(self._serving.scratch[:nbytes])
            return
        arrival.arrived(nbytes)
        if not arrival.missing:
            self._arrival = None
            self._reader.skip_body()

    def eof_received(self) -> bool:
        # A client may close its side once it has sent everything, and must still get its answers.
        last = self._last
        if last is None or not self._reader.in_head:
            return False
        last.keep_alive = False
        self._alarm.set(_PROBE, partial(self._probe, _PROBE))
        return True

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._next()

    # ---- what comes

    def _read(self, data: memoryview) -> None:
        try:
            self._reader.feed(data)
        except BadRequest as error:
            self._refuse(error.status, error.text)
            return
        if not self._alarm.is_set and not self._transport.is_closing():
            if self._reader.within_head:
                seconds = self._serving.limits.head_seconds
                late = f"The request's head was not complete within {seconds:g} s."
                self._alarm.set(seconds, partial(self._refuse, 408, late))
            elif self._incoming is None and not self._reader.in_head:
                self._alarm.set(_DISCARD, self._transport.close)

    def _begin(self, verb: bytes, target: bytes, headers: Mapping[bytes, bytes], keep_alive: bool) -> None:
        self._alarm.stop()
        if self._transport.is_closing():
            return
        if self._is_too_much(verb, target, headers):
            self._turn_away(headers, keep_alive=keep_alive)
            return
        request = self._incoming = Request(self, verb, target, headers, keep_alive=keep_alive)
        self._waiting.append(request)
        self._next()
        if self._waiting:
            self._reading.pause()
            if len(self._waiting) > MAX_PIPELINED:
                self._transport.close()
                raise ValueError("too many requests at once")

    def _piece(self, piece: bytes) -> None:
        request = self._incoming
        if request is not None:
            request.feed(piece)
            if request.has_enough:
                self._reading.pause()  # what follows need not come this way once the application asks for it

    def _end(self) -> None:
        request, self._incoming = self._incoming, None
        if request is None:  # turned away, or answered before its end
            self._alarm.stop()
            self._idle_since = self._loop.time()
        else:
            request.end()
            if not self._waiting:
                self._reading.go_on()

    # ---- what goes

    def _next(self) -> None:
        """Answer the next request if nothing is in its way."""
        if self._waiting and self._current is None and self._writable:
            request = self._current = self._waiting.popleft()
            task = self.client.task = self._loop.create_task(self._answer(request))
            self._serving.tasks.add(task)

    async def _answer(self, request: Request) -> None:
        try:
            reply = await self._serving.application(request)
            head = encode_head(reply, close=not request.keep_alive)
        except ClientDisconnected:
            self._transport.close()
            return
        except asyncio.CancelledError:  # it took longer than the server would wait
            reply, head = self._give_up(request, STOPPING)
        except Exception:
            _log.exception("request failed unexpectedly", path=request.path)
            reply, head = self._give_up(request, BROKEN)
        finally:
            self._serving.tasks.discard(cast("asyncio.Task[None]", self.client.task))
            self.client.answered()
            self._current = None
        if not self._transport.is_closing():
            self._write(request, head, reply.body)

    def _give_up(self, request: Request, reply: Reply) -> tuple[Reply, bytes]:
        request.keep_alive = False
        return reply, encode_head(reply, close=True)

    def _write(self, request: Request, head: bytes, body: bytes) -> None:
        if request.method == "HEAD":
            self._transport.write(head)
        elif len(body) <= _JOINED:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        if not request.keep_alive:
            self._transport.close()
            return
        if self._incoming is request:  # the rest of its body is still to come
            self._throw_away_body_of(request)
        self._next()
        if not self._waiting:
            self._idle_since = self._loop.time()
            self._reading.go_on()

    def _throw_away_body_of(self, request: Request) -> None:
        self._incoming = None
        if expects_continue(request.headers):
            # The client may or may not send the body now: nobody can tell where its next request begins.
            self._transport.close()
        else:
            self._alarm.set(_DISCARD, self._transport.close)

    # ---- what is refused

    def _is_too_much(self, verb: bytes, target: bytes, headers: Mapping[bytes, bytes]) -> bool:
        crowd = self._serving.crowd
        if crowd is None or not crowd.on:
            return False
        # One that has to wait for the answers before its own, or for its client to read them, costs little until then.
        waits = self._last is not None or not self._writable
        return not waits and crowd.refuses(verb, target, headers, len(self._serving.tasks))

    def _turn_away(self, headers: Mapping[bytes, bytes], *, keep_alive: bool) -> None:
        """Answer before a body has come, which is thrown away when it does."""
        # After an answer in place of "continue" nobody can tell where the next request begins.
        if keep_alive and not expects_continue(headers):
            self._transport.write(TURNED_AWAY)
        else:
            self._transport.write(SENT_AWAY)
            self._transport.close()

    def _refuse(self, status: int, text: str) -> None:
        if self._transport.is_closing():
            return
        last = self._last
        if last is not None and self._reader.in_head:
            # The client would take this for the answer to an earlier request, which is still to come.
            last.keep_alive = False
            return
        reply = refusal(status, text)
        self._transport.write(encode_head(reply, close=True) + reply.body)
        self._transport.close()

    @property
    def _last(self) -> Request | None:
        """The last request that waits for an answer."""
        return self._waiting[-1] if self._waiting else self._current

    # ---- time

    def _probe(self, waited: float) -> None:
        """Send a client that has closed its side something that it must ignore while it waits for its answer.

        One that is gone resets the connection then, which the next probe meets. HTTP/1.0 knows no such thing.
        """
        if self._transport.is_closing() or self._reader.is_old:
            return
        if self.client.waits and self._writable:
            self._transport.write(_CONTINUE)
        self._alarm.set(2 * waited, partial(self._probe, 2 * waited))

    def _close_if_idle(self) -> None:
        """One timer for the whole life of a connection: none has to be set and unset for each request."""
        busy = self._last is not None or self._incoming is not None or self._reader.within_head
        since = self._loop.time() if busy else self._idle_since
        left = since + self._serving.keep_alive - self._loop.time()
        if left > 0:
            self._idle_timer = self._loop.call_later(left, self._close_if_idle)
        else:
            self._transport.close()
