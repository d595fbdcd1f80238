"""Who is at the other end of a connection, and whether it still is."""

from __future__ import annotations

import asyncio


class ClientDisconnected(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


class Client:
    """The other side of one HTTP connection; the connection tells it what becomes of that.

    Attributes:
        host: its address as text; empty when it is not known.
        gone: whether it has left.
        task: answers its request; None while there is none.
    """

    __slots__ = ("_waits", "gone", "host", "task")

    def __init__(self, host: str = "") -> None:
        self.host = host
        self.gone = False
        self.task: asyncio.Task[None] | None = None
        self._waits = False

    @property
    def waits(self) -> bool:
        """Whether the task works for nobody else than this client."""
        return self._waits

    def cancel_when_gone(self) -> None:
        """Have the task cancelled if the client leaves before it has its answer.

        Raises:
            ClientDisconnected: it has left already.
        """
        if self.gone:
            raise ClientDisconnected
        self._waits = True

    def answered(self) -> None:
        """It has the answer that it waited for."""
        self.task, self._waits = None, False

    def leave(self) -> None:
        """It is gone."""
        self.gone = True
        if self._waits and self.task is not None:
            self.task.cancel()
