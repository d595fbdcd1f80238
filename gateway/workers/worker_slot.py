"""One place among the workers: whoever ends there is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum

import structlog

from gateway.config.settings import GatewayConfig
from gateway.runtime.backoff import RestartBackoff
from gateway.runtime.process import describe_exit
from gateway.workers.process import WorkerFailed, WorkerProcess

_log = structlog.get_logger()


class WorkerState(StrEnum):
    """``restarting`` waits for its next start; ``stopped`` is not started again."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


class WorkerSlot:
    """Starts a worker, and another one in its place whenever it ends.

    Attributes:
        index: its number, from 0.
        state: what the worker does now.
        restarts: how many were started after the first.
        addresses: ``host:port`` by listener, while it is ready.
    """

    def __init__(self, index: int, settings: GatewayConfig, restarted: Callable[[], None]) -> None:
        self.index = index
        self.state = WorkerState.STARTING
        self.restarts = 0
        self.addresses: Mapping[str, str] = {}
        self._settings = settings
        self._restarted = restarted
        self._backoff = RestartBackoff(asyncio.get_running_loop().time)
        self._process: WorkerProcess | None = None
        self._supervision: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Of the worker; None when there is none at present."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Return when the first worker serves; from then on it is watched.

        Raises:
            WorkerFailed: it does not start.
        """
        process = await self._start_one()
        self._supervision = asyncio.create_task(self._supervise(process), name=f"worker {self.index}")

    async def configure(self, settings: GatewayConfig) -> str:
        """Have the worker, and those after it, run with ``settings``; returns why they keep the old ones, or nothing.

        A worker that does not serve yet gets them as soon as it does.
        """
        before, self._settings = self._settings, settings
        if self.state is not WorkerState.READY or self._process is None:
            return ""
        refusal = await self._process.configure(settings)
        if refusal:
            self._settings = before
        return refusal

    def replace(self, settings: GatewayConfig) -> None:
        """Have the worker drain and end, and one with ``settings`` take its place."""
        self._settings = settings
        if self._process is not None:
            self._process.drain()

    async def stop(self, patience: float) -> None:
        """Return when the worker has drained and ended; it is killed when that takes over ``patience`` seconds."""
        if self._supervision is not None:
            self._supervision.cancel()
            await asyncio.wait({self._supervision})
        process = self._process
        if process is not None:
            if self.state is WorkerState.READY:
                process.drain()
            else:
                process.kill()  # it has accepted nothing
            self.state = WorkerState.STOPPING
            try:
                async with asyncio.timeout(patience):
                    await process.ended()
            except TimeoutError:
                _log.warning("worker killed", worker=self.index, after_s=patience)
                process.kill()
                await process.ended()
        self._process, self.state = None, WorkerState.STOPPED

    def kill(self) -> None:
        """End the worker now."""
        if self._process is not None:
            self._process.kill()

    async def _supervise(self, process: WorkerProcess) -> None:
        while True:
            delay = self._note_end(describe_exit(await process.ended()))
            process = await self._start_again(delay)

    async def _start_again(self, delay: float) -> WorkerProcess:
        while True:
            await asyncio.sleep(delay)
            self.restarts += 1
            self._restarted()
            try:
                return await self._start_one()
            except WorkerFailed as failure:
                delay = self._note_end(str(failure))

    def _note_end(self, how: str) -> float:
        """The worker is gone; returns the seconds until the next one is started."""
        self._process, self.addresses, self.state = None, {}, WorkerState.RESTARTING
        delay = self._backoff.died()
        _log.error("worker ended", worker=self.index, how=how, restart_in_s=delay)
        return delay

    async def _start_one(self) -> WorkerProcess:
        self.state, sent = WorkerState.STARTING, self._settings
        try:
            process = self._process = await WorkerProcess.start(self.index, sent)
        except OSError as error:
            raise WorkerFailed(f"cannot start a worker: {error.strerror}", 1) from None
        self.addresses = await process.until_ready()
        while sent is not self._settings:  # they changed while it started
            sent = self._settings
            if refusal := await process.configure(sent):
                _log.error("worker keeps its configuration", worker=self.index, reason=refusal)
        self._backoff.became_ready()
        self.state = WorkerState.READY
        _log.info("worker ready", worker=self.index, pid=process.pid)
        return process
