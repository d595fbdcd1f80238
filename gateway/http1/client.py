"""Who is at the other end of a connection, and whether it still is."""

from __future__ import annotations

import asyncio
from typing import Any


class ClientDisconnected(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


class Client:
    """The other side of one HTTP connection; the connection tells it what becomes of that.

    Attributes:
        host: its address as text; empty when it is not known.
        gone: whether it has left.
    """

    __slots__ = ("_waiting", "gone", "host")

    def __init__(self, host: str = "") -> None:
        self.host = host
        self.gone = False
        self._waiting: asyncio.Task[Any] | None = None

    @property
    def waits(self) -> bool:
        """Whether a task works for nobody else than this client."""
        return self._waiting is not None

    def cancel_when_gone(self) -> None:
        """Have the running task cancelled if the client leaves before it has its answer.

        Raises:
            ClientDisconnected: it has left already.
        """
        if self.gone:
            raise ClientDisconnected
        self._waiting = asyncio.current_task()

    def answered(self) -> None:
        """It has the answer that it waited for."""
        self._waiting = None

    def leave(self) -> None:
        """It is gone."""
        self.gone = True
        if self._waiting is not None:
            self._waiting.cancel()
