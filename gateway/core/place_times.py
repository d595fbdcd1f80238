"""What requests do with the time for which they have a place: some of it they wait for the event loop of this process.

While that loop has too much to do, a request waits for it several times between its admission and its answer, and the
backends have but a part of those that are under way.
"""

from __future__ import annotations

_NEWEST = 0.05  # weight of the latest one in what is usual
# How often a request waits for the loop: to go on when it is let in, to join a batch, for its answer to be read, and to
# go on with that.
_TURNS = 4
_GREATEST_SHARE = 0.95


class PlaceTimes:
    """Of one model; times are in seconds.

    Attributes:
        usual: how long a request has its place; 0 until one was answered.
    """

    __slots__ = ("_turn", "usual")

    def __init__(self) -> None:
        self.usual = 0.0
        self._turn = 0.0  # until the loop goes on with a request

    def answered(self, seconds: float) -> None:
        """One had its place for so long."""
        self.usual += _NEWEST * (seconds - self.usual) if self.usual else seconds

    def went_on(self, seconds: float) -> None:
        """One that was let in after it had waited went on so much later."""
        self._turn += _NEWEST * (seconds - self._turn)

    def enough(self, limit: int) -> int:
        """How many have to be under way for ``limit`` of them to be with the backends.

        Each of them makes the loop slower, and what it makes slow asks for more: that ``Crowding`` ends.
        """
        if not self.usual:
            return limit
        return int(limit / (1 - min(_TURNS * self._turn / self.usual, _GREATEST_SHARE)))
