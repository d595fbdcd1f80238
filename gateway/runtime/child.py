"""One server as a local process: started, watched, restarted when it dies or hangs, stopped."""

from __future__ import annotations

import asyncio
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.runtime.backoff import RestartBackoff
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.hanging import HUNG_SECONDS
from gateway.runtime.launch import Launch
from gateway.runtime.liveness import until_silent
from gateway.runtime.process import Process, describe_exit, open_log
from gateway.runtime.procfs import start_time
from gateway.runtime.readiness import wait_ready
from gateway.runtime.reaper_client import Reaper
from gateway.runtime.server import Server, ServerState

_TAIL_LINES = 15
_TAIL_BYTES = 16 * 1024


class _NotStarted(Exception):
    """One start failed, and nothing of it is left; the message says how."""


class Child(Server):
    """Runs one ``Launch``; its output goes to ``log``."""

    def __init__(self, launch: Launch, log: Path, reaper: Reaper) -> None:
        super().__init__(launch.name, launch.server)
        self.launch = launch
        self.log = log
        self._reaper = reaper
        self._backoff = RestartBackoff()
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Pid of the running server."""
        return self._process.pid if self._process is not None and not self._process.ended.done() else None

    def facts(self) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "start_time": None if self.pid is None else start_time(self.pid),
            "log": str(self.log),
            **({"scratch": str(self.launch.scratch)} if self.launch.scratch is not None else {}),
            **self.launch.facts,
        }

    async def start(self) -> None:
        try:
            process = await self._run_until_ready()
        except _NotStarted as failure:
            self._set(ServerState.FAILED)
            tail = read_tail(self.log)
            shown = f"\nThe last lines of its log:\n{tail}" if tail else ""
            raise RuntimeFailure(f"{self.launch.name}: {failure}\nIts log is {self.log}{shown}") from None
        self.supervision = asyncio.create_task(self._supervise(process), name=f"supervise {self.launch.name}")

    async def stop(self, hurry: asyncio.Event) -> None:
        await self._end_supervision()
        await self._stop_process(hurry)
        if self.launch.scratch is not None:
            shutil.rmtree(self.launch.scratch, ignore_errors=True)
        if self.state is not ServerState.FAILED:
            self._set(ServerState.STOPPED)

    async def _supervise(self, process: Process) -> None:
        while True:
            how = await self._end_of(process)
            delay = self._backoff.died()
            self._set(ServerState.RESTARTING, f"{how}; restart in {delay:g} s; log: {self.log}")
            await asyncio.sleep(delay)
            process = await self._restart()

    async def _end_of(self, process: Process) -> str:
        """How it ended; one that hangs is ended here, because everybody waits for it."""
        if self.launch.alive is None:
            return describe_exit(await asyncio.shield(process.ended))
        silent = asyncio.create_task(until_silent(self.launch.alive), name=f"signs of life of {self.launch.name}")
        try:
            await asyncio.wait({process.ended, silent}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            silent.cancel()
        if process.ended.done():
            return describe_exit(process.ended.result())
        silent.result()  # an error of ours must not go unseen
        self._set(ServerState.RESTARTING)
        return f"hung: no answer for {HUNG_SECONDS:g} s; {describe_exit(await process.abort())}"

    async def _restart(self) -> Process:
        while True:
            self.restarts += 1
            try:
                return await self._run_until_ready()
            except _NotStarted as failure:
                delay = self._backoff.died()
                self._set(ServerState.RESTARTING, f"{failure}; restart in {delay:g} s; log: {self.log}")
                await asyncio.sleep(delay)

    async def _run_until_ready(self) -> Process:
        started = self.started = time.monotonic()
        self.ready_at = None
        process = self._process = self._spawn()
        self._set(ServerState.STARTING if self.restarts == 0 else ServerState.RESTARTING)
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
        self._set(ServerState.READY, f"ready after {self.ready_at - started:.1f} s")
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
