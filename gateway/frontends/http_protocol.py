"""uvicorn's HTTP protocol with what it lacks: bounds on what a connection may ask for, and one write for an answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.core.limits import Limits
from gateway.frontends.asgi import REST, Client
from gateway.frontends.http_body import BodyRest
from gateway.frontends.http_crowd import HTTPCrowd
from gateway.frontends.http_receiver import READ_AT_ONCE, Receiver

# Request line and headers together, in bytes; what the other servers of this field allow is between 8 and 64 KiB.
MAX_HEAD = 64 * 1024
_HEAD_TOO_LARGE = 431, f"The request's head is over {MAX_HEAD} bytes."
_AROUND_HEADER = len(": \r\n")
# Where a read has so much of a body, there is more to come as a rule.
_LARGE_PIECE = READ_AT_ONCE // 2
# Requests that may wait behind the one that is being answered; clients that pipeline send a few dozen.
MAX_PIPELINED = 256
# How long a client that has closed its side may wait before it is found out whether it is still there, in seconds.
_PROBE = 0.1
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
# How long the rest of a body is read and thrown away after the request was refused, in seconds: closing at once would
# reset the connection, and the client would lose the answer.
_DISCARD = 10.0
_CROWDED = b'{"error":"too many requests at once; try again later"}'
_CROWDED_HEAD = STATUS_LINE[503] + b"content-type: application/json\r\nretry-after: 1\r\ncontent-length: %d\r\n"
_CROWDED_HEAD %= len(_CROWDED)
_TURNED_AWAY = _CROWDED_HEAD + b"\r\n" + _CROWDED
_SENT_AWAY = _CROWDED_HEAD + b"connection: close\r\n\r\n" + _CROWDED


class GatheringTransport:
    """Gathers what is written in one step of the event loop and sends it at once.

    uvicorn writes head and body apart: two system calls, two packets, and a client that wakes up twice.
    Everything but writing and closing is the inner transport's.
    """

    def __init__(self, inner: asyncio.Transport) -> None:
        self._inner = inner
        self._pending: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes) -> None:
        if not self._pending:
            self._call_soon(self._flush)
        self._pending.append(data)

    def is_closing(self) -> bool:
        return self._inner.is_closing()

    def close(self) -> None:
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            if not self._inner.is_closing():
                self._inner.writelines(pending)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class GatewayHTTPProtocol(HttpToolsProtocol):
    """Refuses what is over the limits of a connection, in plain text, and closes it; turns away in a ``crowd``.

    Attributes:
        receiver: the protocol for the event loop, which reads for this one through ``scratch``.
    """

    _rest: BodyRest  # of the request whose body is being parsed

    def __init__(
        self, *arguments: Any, limits: Limits, scratch: memoryview, crowd: HTTPCrowd | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.receiver = Receiver(self, scratch, self._body_arrived)
        self._limits = limits
        self._crowd = crowd
        self._turned_away = False  # the request whose body is being parsed
        self._in_head = True
        self._received = 0  # bytes while no head was complete
        self._head = 0  # bytes of the request line and headers that were complete
        self._chunks = 0
        self._upgrading = False
        self._problem = (400, "Invalid HTTP request received.")
        self._client = Client()
        # Armed only while a head or a refused body is incomplete: most requests arrive whole, and cost no timer.
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", GatheringTransport(transport)))
        if len(self.connections) > self._limits.connections:
            self._refuse(503, "Too many connections.")
            return
        self._idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self._client.leave()

    def eof_received(self) -> bool:  # type: ignore[override]
        # A client may close its side once it has sent everything, and must still get its answers.
        waits = self._in_head and self.cycle is not None and not self.cycle.response_complete
        if waits:
            self.cycle.keep_alive = False
            self._set_timer(_PROBE, partial(self._probe, _PROBE))
        return waits

    def data_received(self, data: bytes | memoryview) -> None:
        if self._in_head:
            self._received += len(data)
        self._unset_keepalive_if_required()
        self._parse(data)
        if self._in_head and self._received and not self.transport.is_closing():
            if self._received > MAX_HEAD:
                self._refuse(*_HEAD_TOO_LARGE)
            elif self._timer is None:
                self._set_timer(self._limits.head_seconds, self._head_timed_out)
        elif self._turned_away and self._timer is None and not self.transport.is_closing():
            self._set_timer(_DISCARD, self.transport.close)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._head += len(url)
        if self._head > MAX_HEAD:
            self._fail(414, "The URL is too long.")

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head += len(name) + len(value) + _AROUND_HEADER
        if self._head > MAX_HEAD:
            self._fail(*_HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        # CONNECT looks like an upgrade to the parser too; it fails on its address.
        self._upgrading = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        if self._upgrading:
            return
        if self._crowd is not None and self._crowd.rule.on and self._is_too_much(self._crowd):
            self._turn_away()
            return
        super().on_headers_complete()
        self._rest = BodyRest(self.cycle, self.receiver.expect)
        extensions = {Client.EXTENSION: self._client, REST: self._rest}
        cast("dict[str, Any]", self.scope)["extensions"] = extensions
        self._in_head = False
        self._unset_timer()
        if len(self.pipeline) > MAX_PIPELINED:
            self.transport.close()
            raise ValueError("too many requests at once")

    def on_body(self, body: bytes) -> None:
        if self._turned_away:
            return
        if self._rest.takes(body):
            return
        super().on_body(body)
        if len(body) >= _LARGE_PIECE and not self.cycle.response_complete:
            self.flow.pause_reading()  # what follows need not come this way once the application asks for it

    def on_chunk_header(self) -> None:
        """The parser calls this for every chunk of a body."""
        self._chunks += 1
        if self._chunks > self._limits.body_chunks:
            self._fail(413, f"The request's body has over {self._limits.body_chunks} chunks.")

    def on_message_complete(self) -> None:
        if self._upgrading:
            return
        if not self._turned_away:
            super().on_message_complete()
        self._in_head, self._received, self._head, self._chunks = True, 0, 0, 0
        if self._turned_away or self.cycle.response_complete:
            self._turned_away = False
            self._unset_timer()
            self._idle()

    def on_response_complete(self) -> None:
        self._client.answered()
        super().on_response_complete()
        if self._in_head or not self.cycle.response_complete or self.transport.is_closing():
            return
        if self.expect_100_continue:
            # The client may or may not send the body now: nobody can tell where its next request begins.
            self.transport.close()
        else:
            self._unset_keepalive_if_required()
            self._set_timer(_DISCARD, self.transport.close)

    def _body_arrived(self) -> None:
        """The rest of a body has arrived, which the parser knows nothing of and would wait for."""
        self._renew_parser()
        self.on_message_complete()

    def _renew_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)
        with contextlib.suppress(AttributeError):  # older versions of the parser are lenient by themselves
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def _is_too_much(self, crowd: HTTPCrowd) -> bool:
        if self.cycle is not None and not self.cycle.response_complete:
            return False  # it has to wait for the answers before its own, and costs little until then
        return crowd.refuses(self.parser.get_method(), self.url, self.headers, len(self.tasks))

    def _turn_away(self) -> None:
        """Answer before a body has come, which is thrown away when it does."""
        self._in_head, self._turned_away = False, True
        self._unset_timer()
        # After an answer in place of "continue" nobody can tell where the next request begins.
        keeps = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        if keeps and not self.expect_100_continue:
            self.transport.write(_TURNED_AWAY)
        else:
            self.transport.write(_SENT_AWAY)
            self.transport.close()

    def _probe(self, waited: float) -> None:
        """Send a client that has closed its side something that it must ignore while it waits for its answer.

        One that is gone resets the connection then, which the next probe meets. HTTP/1.0 knows no such thing.
        """
        if self.transport.is_closing() or self.cycle.scope["http_version"] == "1.0":
            return
        if self._client.waits and not self.flow.write_paused:
            self.transport.write(_CONTINUE)
        self._set_timer(2 * waited, partial(self._probe, 2 * waited))

    def _parse(self, data: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse(self._head_without_upgrade() + data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(*self._problem)

    def _head_without_upgrade(self) -> bytes:
        """The head again, for a new parser, without the wish for another protocol, which no server need fulfil.

        Clients that would rather speak HTTP/2 express it with every first request. The parser takes what follows for
        the other protocol then, and would lose the body.
        """
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines.append(name + b": " + b",".join(kept))
            elif name != b"upgrade":
                lines.append(name + b": " + value)
        self._renew_parser()
        self._head = 0
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _fail(self, status: int, text: str) -> None:
        self._problem = status, text
        raise ValueError(text)  # the parser turns it into its own error, and _parse refuses

    def _head_timed_out(self) -> None:
        self._refuse(408, f"The request's head was not complete within {self._limits.head_seconds:g} s.")

    def _refuse(self, status: int, text: str) -> None:
        if self.transport.is_closing():
            return
        if self._in_head and self.cycle is not None and not self.cycle.response_complete:
            # The client would take this for the answer to an earlier request, which is still to come.
            self.cycle.keep_alive = False
            return
        head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(text)
        self.transport.write(STATUS_LINE[status] + head + text.encode("ascii"))
        self.transport.close()

    def _idle(self) -> None:
        # uvicorn lets a connection be idle for ever before its first request.
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _set_timer(self, seconds: float, callback: Callable[[], object]) -> None:
        self._unset_timer()
        self._timer = self.loop.call_later(seconds, callback)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
