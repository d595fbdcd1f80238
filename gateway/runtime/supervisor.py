"""Runs a plan: the backends all at once, then the gateway; keeps them alive; stops them in the opposite order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.runtime.child import Child
from gateway.runtime.launchers.front import CONFIG_FILE
from gateway.runtime.plan import Plan
from gateway.runtime.procfs import start_time
from gateway.runtime.reaper_client import Reaper
from gateway.runtime.state import RunDirectory


class Supervisor:
    """One ``gateway up``.

    Attributes:
        phase: ``starting``, ``ready`` or ``stopping``.
        gateway, backends: the servers.
    """

    def __init__(self, plan: Plan, run: RunDirectory, reaper: Reaper, news: Callable[[str, str], None]) -> None:
        """``news`` is told a server's name and what happened to it. The logs of the run before are set aside."""
        self.phase = "starting"
        self._models = list(plan.models)
        self._run = run
        self._news = news
        self.gateway, *self.backends = [
            Child(launch, run.shown(run.rotate_log(launch.name)), reaper, self._changed)
            for launch in (plan.gateway, *plan.backends)
        ]
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    def children(self) -> list[Child]:
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
                supervisions = [child.supervision for child in self.children if child.supervision is not None]
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

    def _changed(self, child: Child, news: str) -> None:
        self._write_state()
        if news:
            self._news(child.launch.name, news)

    def _write_state(self) -> None:
        with contextlib.suppress(OSError):  # a full disk stops no server
            self._run.write_state(self.state())

    def state(self) -> dict[str, Any]:
        """The state file's content."""
        return {
            "pid": os.getpid(),
            "start_time": start_time(os.getpid()),
            "phase": self.phase,
            "config": str(self._run.shown(self._run.path / CONFIG_FILE)),
            "gateway": self._entry(self.gateway),
            "models": self._models,
            "backends": {backend.launch.name: self._entry(backend) for backend in self.backends},
        }

    def _entry(self, child: Child) -> dict[str, Any]:
        return {
            "server": child.launch.server,
            "state": child.state.value,
            "pid": child.pid,
            "start_time": None if child.pid is None else start_time(child.pid),
            "restarts": child.restarts,
            "log": str(child.log),
            **({"scratch": str(child.launch.scratch)} if child.launch.scratch is not None else {}),
            **child.launch.facts,
        }
