"""One server over its whole life: started, watched, restarted when it dies, stopped."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from gateway.runtime.backoff import RestartBackoff
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch
from gateway.runtime.process import Process, describe_exit, open_log
from gateway.runtime.readiness import wait_ready
from gateway.runtime.reaper_client import Reaper

_TAIL_LINES = 15
_TAIL_BYTES = 16 * 1024


class ChildState(StrEnum):
    """Where a server is in its life, as the state file spells it."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    FAILED = "failed"
    STOPPED = "stopped"


class _NotStarted(Exception):
    """One start failed, and nothing of it is left; the message says how."""


class Child:
    """Runs one ``Launch``.

    Attributes:
        state: see ``ChildState``.
        waiting_for: while it starts, what it has not done yet.
        restarts: how often it was started again.
        started, ready_at: ``time.monotonic()`` of the present start and of its end, in seconds; None before.
        supervision: the endless task that restarts it; None before it was ready for the first time.
    """

    def __init__(self, launch: Launch, log: Path, reaper: Reaper, changed: Callable[[Child, str], None]) -> None:
        """``changed`` is called at every change of state, with a line for people (empty when there is no news)."""
        self.launch = launch
        self.log = log
        self.state = ChildState.STARTING
        self.waiting_for = ""
        self.restarts = 0
        self.started: float | None = None
        self.ready_at: float | None = None
        self.supervision: asyncio.Task[None] | None = None
        self._reaper = reaper
        self._changed = changed
        self._backoff = RestartBackoff()
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Pid of the running server."""
        return self._process.pid if self._process is not None and not self._process.ended.done() else None

    async def start(self) -> None:
        """Return once the server is ready; from then on it is restarted whenever it dies.

        Raises:
            RuntimeFailure: it ended or did not get ready in time; nothing of it is left.
        """
        try:
            process = await self._run_until_ready()
        except _NotStarted as failure:
            self._set(ChildState.FAILED)
            tail = read_tail(self.log)
            shown = f"\nThe last lines of its log:\n{tail}" if tail else ""
            raise RuntimeFailure(f"{self.launch.name}: {failure}\nIts log is {self.log}{shown}") from None
        self.supervision = asyncio.create_task(self._supervise(process), name=f"supervise {self.launch.name}")

    async def stop(self, hurry: asyncio.Event) -> None:
        """Stop it for good; ``hurry`` skips what is left of the grace period."""
        if self.supervision is not None:
            self.supervision.cancel()
            await asyncio.wait({self.supervision})
        await self._stop_process(hurry)
        if self.launch.scratch is not None:
            shutil.rmtree(self.launch.scratch, ignore_errors=True)
        if self.state is not ChildState.FAILED:
            self._set(ChildState.STOPPED)

    async def _supervise(self, process: Process) -> None:
        while True:
            status = await asyncio.shield(process.ended)
            delay = self._backoff.died()
            self._set(ChildState.RESTARTING, f"{describe_exit(status)}; restart in {delay:g} s; log: {self.log}")
            await asyncio.sleep(delay)
            process = await self._restart()

    async def _restart(self) -> Process:
        while True:
            self.restarts += 1
            try:
                return await self._run_until_ready()
            except _NotStarted as failure:
                delay = self._backoff.died()
                self._set(ChildState.RESTARTING, f"{failure}; restart in {delay:g} s; log: {self.log}")
                await asyncio.sleep(delay)

    async def _run_until_ready(self) -> Process:
        started = self.started = time.monotonic()
        self.ready_at = None
        process = self._process = self._spawn()
        self._set(ChildState.STARTING if self.restarts == 0 else ChildState.RESTARTING)
        ready = asyncio.create_task(wait_ready(self.launch.probe, self._note_waiting))
        try:
            await asyncio.wait(
                {ready, process.ended}, timeout=self.launch.ready_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if process.ended.done():
                raise _NotStarted(f"ended before it was ready: {describe_exit(process.ended.result())}")
            if not ready.done():
                await self._stop_process(asyncio.Event())
                raise _NotStarted(f"not ready within {self.launch.ready_timeout:g} s, no {self.waiting_for}")
            ready.result()
        finally:
            ready.cancel()
        self.waiting_for = ""
        self._backoff.became_ready()
        self.ready_at = time.monotonic()
        self._set(ChildState.READY, f"ready after {self.ready_at - started:.1f} s")
        return process

    def _spawn(self) -> Process:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        output = open_log(self.log, f"=== {now} starting {self.launch.name}: {self.launch.server}")
        try:
            if self.launch.scratch is not None:
                shutil.rmtree(self.launch.scratch, ignore_errors=True)
                self.launch.scratch.mkdir(mode=0o700)
            return Process(self.launch, output, self._reaper)
        except OSError as error:
            raise _NotStarted(f"cannot start: {error.filename}: {error.strerror}") from None
        finally:
            if not isinstance(output, int):
                output.close()

    async def _stop_process(self, hurry: asyncio.Event) -> None:
        if self._process is not None and not self._process.ended.done():
            await self._process.stop(self.launch.stop_timeout, hurry)

    def _note_waiting(self, reason: str) -> None:
        self.waiting_for = reason

    def _set(self, state: ChildState, news: str = "") -> None:
        self.state = state
        self._changed(self, news)


def read_tail(log: Path) -> str:
    """The last lines of a log, indented; empty when there is nothing to read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
