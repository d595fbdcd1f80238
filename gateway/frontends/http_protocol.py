"""uvicorn's HTTP protocol with two things it lacks: a bound on the request's head, and one write for an answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Request line and headers together, in bytes; what the other servers of this field allow is between 8 and 64 KiB.
MAX_HEAD = 64 * 1024


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

    def close(self) -> None:
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            self._inner.writelines(pending)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class GatewayHTTPProtocol(HttpToolsProtocol):
    """Closes a connection whose request head does not end within MAX_HEAD bytes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._received = 0  # bytes while no head was complete
        self._head = 0  # bytes of the headers that were complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", GatheringTransport(transport)))

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._received += len(data)
        super().data_received(data)
        if self._in_head and self._received > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response(f"The request's head is over {MAX_HEAD} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head += len(name) + len(value)
        if self._head > MAX_HEAD:
            raise ValueError("head too large")  # the parser turns it into its own error, and uvicorn into a 400

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._received, self._head = True, 0, 0
