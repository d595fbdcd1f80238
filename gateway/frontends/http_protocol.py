"""uvicorn's HTTP protocol with a bound on the request's head, which uvicorn itself does not have."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Request line and headers together, in bytes; what the other servers of this field allow is between 8 and 64 KiB.
MAX_HEAD = 64 * 1024


class BoundedHTTPProtocol(HttpToolsProtocol):
    """Closes a connection whose request head does not end within MAX_HEAD bytes."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = True
        self._received = 0  # bytes while no head was complete
        self._head = 0  # bytes of the headers that were complete

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
