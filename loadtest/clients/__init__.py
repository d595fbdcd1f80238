"""What a load generator needs of a protocol: one encoded request out, one answer back, the time it was complete."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """One complete answer.

    Attributes:
        body: HTTP body or gRPC message.
        header_length: Inference-Header-Content-Length of an OIP binary body, None without one.
        done: clock time (ns) at which the last byte was here.
    """

    body: bytes
    header_length: int | None
    done: int


class RequestFailed(Exception):
    """No good answer came. ``kind`` is a short, countable name such as ``connect`` or ``HTTP 503``."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class Client(Protocol):
    """Sends requests that were encoded beforehand to one server."""

    async def connect(self, connections: int) -> None:
        """Have ``connections`` idle connections ready, so that none is opened while the clock runs."""

    async def send(self, sample: int) -> Answer:
        """Send encoded request number ``sample``. Raises RequestFailed."""

    async def close(self) -> None: ...
