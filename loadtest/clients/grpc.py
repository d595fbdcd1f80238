"""A lean client for unary gRPC calls: messages are encoded once, answers stay bytes.

grpc.aio tells no time of the first byte and needs several times the CPU for a call.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.http2 import frames as http2
from loadtest.calls import Call
from loadtest.clients.connection import Connection, Owner
from loadtest.clients.grpc_headers import Headers, read_headers, request_headers
from loadtest.clients.http2_connection import Http2Connection, Stream
from loadtest.clients.pool import Pool
from loadtest.clock import Clock

_PREFIX_LENGTH = 5  # of a message: compressed or not, and its length in 4 octets
_EXPECTED_STREAMS = 100  # the least that HTTP/2 recommends servers to allow on a connection

# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Errors"; the others are INTERNAL.
_CODE_OF_RESET = {
    "REFUSED_STREAM": "UNAVAILABLE",
    "CANCEL": "CANCELLED",
    "ENHANCE_YOUR_CALM": "RESOURCE_EXHAUSTED",
    "INADEQUATE_SECURITY": "PERMISSION_DENIED",
}


class GrpcClient(Pool):
    """Sends encoded messages to ``method`` of the server at ``address``; calls in flight share one connection.

    There are more connections only when the server allows no more streams on one.
    """

    def __init__(
        self,
        address: str,
        method: str,
        requests: Sequence[bytes],
        *,
        clock: Clock,
        timeout: float,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        host, _, port = address.rpartition(":")
        super().__init__(host, int(port), clock=clock, timeout=timeout, expected_room=_EXPECTED_STREAMS)
        self._headers = request_headers(address, method, metadata)
        self._messages = [b"\0" + len(message).to_bytes(4, "big") + message for message in requests]

    def _connection(self) -> Connection:
        return _GrpcConnection(self, self._headers, self._messages)


class _GrpcConnection(Http2Connection):
    def __init__(self, owner: Owner, headers: bytes, messages: Sequence[bytes]) -> None:
        super().__init__(owner)
        self._request_headers = headers
        self._messages = messages

    def send(self, call: Call, since: int) -> None:
        """See ``Connection``."""
        self.request(self._request_headers, self._messages[call.payload], _UnaryAnswer(call, since))


class _UnaryAnswer(Stream):
    """One answer: headers, a message, trailers; or only trailers."""

    __slots__ = ("_first", "_last", "_pieces")

    def __init__(self, call: Call, since: int) -> None:
        super().__init__(call, since)
        self._first: Headers | None = None
        self._last: Headers | None = None
        self._pieces: list[bytes] = []

    def headers(self, block: bytes) -> None:
        """See ``Stream``."""
        headers = read_headers(block)
        if headers.status is not None and headers.status.startswith("1"):
            return  # informational: the answer follows
        if self._first is None:
            self._first = headers
        self._last = headers
        if headers.server_timing:
            before = self.call.server_timing
            self.call.server_timing = b", ".join((before, headers.server_timing)) if before else headers.server_timing

    def data(self, payload: bytes) -> None:
        """See ``Stream``."""
        self._pieces.append(payload)

    def end(self, now: int) -> None:
        """See ``Stream``."""
        call = self.call
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        failure, detail = self._failure(body)
        if failure:
            call.fail(failure, now, detail)
            return
        call.body = body[_PREFIX_LENGTH:]
        call.done = now
        call.finished(call)

    def reset(self, code: int, now: int) -> None:
        """See ``Stream``."""
        name = http2.error_name(code)
        self.call.fail(f"gRPC {_CODE_OF_RESET.get(name, 'INTERNAL')}", now, f"RST_STREAM {name}")

    def _failure(self, body: bytes) -> tuple[str, str]:
        """Kind and detail; both empty for a good answer."""
        first, last = self._first, self._last
        if first is None or last is None:
            return "not gRPC", "an answer without headers"
        if last.code is None:
            if first.status != "200":
                return f"HTTP {first.status}", body[:200].decode("utf-8", "replace")
            return "not gRPC", f"no grpc-status in an answer of type {first.content_type!r}"
        if last.code != "OK":
            return f"gRPC {last.code}", last.message
        if body[:1] == b"\1":
            return "compressed answer", "the server compresses although no compression was offered"
        if len(body) < _PREFIX_LENGTH or len(body) != _PREFIX_LENGTH + int.from_bytes(body[1:_PREFIX_LENGTH], "big"):
            return "not gRPC", f"{len(body)} octets that are not one message"
        return "", ""
