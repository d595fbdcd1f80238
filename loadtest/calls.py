"""One request on its way, with the four stamps that everything else is computed from."""

from __future__ import annotations

from collections.abc import Callable


class Call:
    """One request. Stamps are clock times in ns (``Clock.now``), 0 where the moment never came.

    Attributes:
        payload: number of the encoded request in the workload.
        scheduled: when it was due.
        sent: when its first byte was given to the kernel.
        first_byte: when the first byte of its answer was here.
        done: when the answer was complete, or had failed.
        failure: short, countable kind such as ``connect``, ``timeout``, ``HTTP 503``, ``wrong answer``; empty while
            there is none.
        detail: what the server said about the failure, cut to some 200 characters.
        body: HTTP body or gRPC message of the answer.
        header_length: Inference-Header-Content-Length of an OIP binary body, None without one.
        server_timing: the raw ``Server-Timing`` value of the answer; empty without one.
        finished: called exactly once, when the answer or the failure is there. It must not raise.
    """

    __slots__ = (
        "body",
        "detail",
        "done",
        "failure",
        "finished",
        "first_byte",
        "header_length",
        "payload",
        "scheduled",
        "sent",
        "server_timing",
    )

    def __init__(self, payload: int, scheduled: int, finished: Callable[[Call], None]) -> None:
        self.payload = payload
        self.scheduled = scheduled
        self.finished = finished
        self.sent = 0
        self.first_byte = 0
        self.done = 0
        self.failure = ""
        self.detail = ""
        self.body = b""
        self.header_length: int | None = None
        self.server_timing = b""

    def fail(self, kind: str, now: int, detail: str = "") -> None:
        """End without a good answer."""
        self.failure = kind
        self.detail = detail[:200]
        self.done = now
        self.finished(self)
