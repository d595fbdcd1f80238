"""Runs a stack: the backends all at once, then the gateway; watches them; stops them in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from gateway.runtime.procfs import start_time
from gateway.runtime.server import Server
from gateway.runtime.state import RunDirectory


class Supervisor:
    """One ``gateway up``.

    Attributes:
        phase: ``starting``, ``ready`` or ``stopping``.
        gateway, backends: the servers.
    """

    def __init__(
        self,
        gateway: Server,
        backends: Sequence[Server],
        run: RunDirectory,
        news: Callable[[str, str], None],
        about: Mapping[str, Any],
    ) -> None:
        """``news`` is told a server's name and what happened to it; ``about`` is the state file's head."""
        self.phase = "starting"
        self.gateway = gateway
        self.backends = backends
        self._run = run
        self._news = news
        self._about = about
        for server in self.servers:
            server.changed = self._changed
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def servers(self) -> list[Server]:
        """All servers, backends first."""
        return [*self.backends, self.gateway]

    async def run(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Start everything, call ``ready``, and stop everything once a signal asks for it.

        However it ends, nothing that it started is left.

        Raises:
            RuntimeFailure: a server did not start.
        """
        self._follow_signals()
        self._write_state()
        starting = asyncio.create_task(self._start())
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not self._stop.is_set():
                starting.result()
                self._enter("ready")
                await ready()
                supervisions = [server.supervision for server in self.servers if server.supervision is not None]
                done, _ = await asyncio.wait({stopping, *supervisions}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # a supervision has no end of its own but an error, which must not go unseen
        finally:
            stopping.cancel()
            starting.cancel()
            await asyncio.wait({starting, stopping})
            await self._stop_all()

    async def _start(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:  # the first that fails cancels the others
                for backend in self.backends:
                    group.create_task(backend.start())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        await self.gateway.start()

    async def _stop_all(self) -> None:
        self._enter("stopping")
        # The gateway drains first: what it has accepted still needs the backends.
        await self.gateway.stop(self._hurry)
        await asyncio.gather(*(backend.stop(self._hurry) for backend in self.backends))

    def _follow_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set() or self.phase == "stopping":
            # Only a person at the keyboard may cut the drain short: a closing terminal sends SIGHUP more than once.
            if number is signal.SIGINT:
                self._hurry.set()
            return
        self._news("", f"stopping on {number.name}")
        self._stop.set()

    def _enter(self, phase: str) -> None:
        self.phase = phase
        self._write_state()

    def _changed(self, server: Server, news: str) -> None:
        self._write_state()
        if news:
            self._news(server.name, news)

    def _write_state(self) -> None:
        with contextlib.suppress(OSError):  # a full disk stops no server
            self._run.write_state(self.state())

    def state(self) -> dict[str, Any]:
        """The state file's content."""
        return {
            "pid": os.getpid(),
            "start_time": start_time(os.getpid()),
            "phase": self.phase,
            **self._about,
            "gateway": self.gateway.entry(),
            "backends": {backend.name: backend.entry() for backend in self.backends},
        }
