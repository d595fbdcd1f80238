"""One server of the stack over its whole life, whatever it runs as: what the supervisor and the reports know of it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Any


class ServerState(StrEnum):
    """Where a server is in its life, as the state file spells it."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class Server(ABC):
    """Started, watched, stopped.

    Attributes:
        name: what the configuration calls it.
        title: what it is, for people: product and version.
        state: see ``ServerState``.
        waiting_for: while it starts, what it has not done yet.
        restarts: how often it was started again.
        started, ready_at: ``time.monotonic()`` of the present start and of its end, in seconds; None before.
        supervision: the endless task that watches it; None before it was ready for the first time.
        changed: called at every change of state, with a line for people (empty when there is no news).
    """

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self.title = title
        self.state = ServerState.STARTING
        self.waiting_for = ""
        self.restarts = 0
        self.started: float | None = None
        self.ready_at: float | None = None
        self.supervision: asyncio.Task[None] | None = None
        self.changed: Callable[[Server, str], None] = lambda _server, _news: None

    @abstractmethod
    async def start(self) -> None:
        """Return once the server is ready; from then on it is watched.

        Raises:
            RuntimeFailure: it ended or did not get ready in time; nothing of it is left.
        """

    @abstractmethod
    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop it for good; ``hurry`` skips what is left of the grace period."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the state file tells of it beside its state: kind, addresses, settings, where it runs."""

    def entry(self) -> dict[str, Any]:
        """Its entry in the state file."""
        return {"server": self.title, "state": self.state.value, "restarts": self.restarts, **self.facts()}

    def _set(self, state: ServerState, news: str = "") -> None:
        self.state = state
        self.changed(self, news)

    async def _end_supervision(self) -> None:
        if self.supervision is not None:
            self.supervision.cancel()
            await asyncio.wait({self.supervision})
