"""What a client takes too long for: the beginning of its connection, a head, a frame, the body of a request."""

from __future__ import annotations


class Patience:
    """With one connection, which is there from ``now`` on; all times are in seconds on one clock.

    ``head`` is for what has to come as a whole, ``body`` for the rest of a request.
    """

    __slots__ = ("_body", "_head", "_head_since", "_requests", "_stuck_since")

    def __init__(self, head: float, body: float, now: float) -> None:
        self._head = head
        self._body = body
        self._head_since = now
        self._stuck_since: float | None = None  # when a frame began that takes several pieces
        self._requests: dict[int, float] = {}  # those that are incomplete, and since when; the oldest first

    @property
    def period(self) -> float:
        """How often to look."""
        return min(self._head, self._body)

    @property
    def stuck(self) -> bool:
        """Whether a frame is incomplete."""
        return self._stuck_since is not None

    def head_began(self, now: float) -> None:
        """There is a head that is not complete yet."""
        self._head_since = now

    def moved(self) -> None:
        """What came ended a frame."""
        self._stuck_since = None

    def stalled(self, now: float) -> None:
        """What came ended no frame."""
        if self._stuck_since is None:
            self._stuck_since = now

    def request_began(self, number: int, now: float) -> None:
        """Its body is still to come."""
        self._requests[number] = now

    def request_ended(self, number: int) -> None:
        """Nothing of it is still to come, or is of interest."""
        self._requests.pop(number, None)

    def is_over(self, now: float, *, head_under_way: bool) -> bool:
        """Whether a frame took too long, or a head, where one is under way."""
        late = now - self._head
        return (head_under_way and self._head_since <= late) or (
            self._stuck_since is not None and self._stuck_since <= late
        )

    def late_requests(self, now: float) -> list[int]:
        """Those that took too long, each once."""
        late = [number for number, began in self._requests.items() if began <= now - self._body]
        for number in late:
            del self._requests[number]
        return late
