"""One place among the workers: whoever ends there is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

import structlog

from gateway.config.settings import GatewayConfig
from gateway.core.log_settings import LogSettings
from gateway.runtime.backoff import RestartBackoff
from gateway.runtime.hanging import HUNG_SECONDS
from gateway.runtime.process import describe_exit
from gateway.workers.process import WorkerFailed, WorkerHung, WorkerProcess

_log = structlog.get_logger()

# From a worker's start until it serves. Models are loaded then, which come over a network perhaps: what ``gateway up``
# gives a model server (``launch.ready_timeout``) several times over.
START_SECONDS = 600.0


class WorkerState(StrEnum):
    """``restarting`` waits for its next start; ``stopped`` is not started again."""

    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


class Reason(StrEnum):
    """Why another worker is started: ``ended`` is one that drained, as it was told."""

    CRASHED = "crashed"
    HUNG = "hung"
    ENDED = "ended"


class WorkerSlot:
    """Starts a worker, and another in its place whenever it ends; ``rejoined`` is called when that one serves.

    Attributes:
        index: its number, from 0.
        state: what the worker does now.
        restarts: how many were started after the first.
        addresses: ``host:port`` by listener, while it is ready.
    """

    def __init__(
        self,
        index: int,
        settings: GatewayConfig,
        restarted: Callable[[Reason], None],
        rejoined: Callable[[WorkerSlot], Awaitable[None]],
    ) -> None:
        self.index = index
        self.state = WorkerState.STARTING
        self.restarts = 0
        self.addresses: Mapping[str, str] = {}
        self._settings = settings
        self._logs = LogSettings()
        self._restarted = restarted
        self._rejoined = rejoined
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

    async def write_logs(self, logs: LogSettings) -> None:
        """Have the worker, and those after it, write these log messages."""
        self._logs = logs
        if self.state is WorkerState.READY and self._process is not None:
            await self._process.write_logs(logs)

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
            reason = await self._end_of(process)
            delay = self._note_end(describe_exit(await process.ended()))
            process = await self._start_again(delay, reason)

    async def _end_of(self, process: WorkerProcess) -> Reason:
        """Return when it is gone; one that hangs is ended, because it holds connections that nobody serves."""
        ended = asyncio.create_task(process.ended())
        hung = asyncio.create_task(process.until_hung())
        try:
            await asyncio.wait({ended, hung}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                return Reason.CRASHED if ended.result() else Reason.ENDED
            self.addresses, self.state = {}, WorkerState.RESTARTING
            await self._abort(process, HUNG_SECONDS)
            return Reason.HUNG
        finally:
            ended.cancel()
            hung.cancel()

    async def _start_again(self, delay: float, reason: Reason) -> WorkerProcess:
        while True:
            await asyncio.sleep(delay)
            self.restarts += 1
            self._restarted(reason)
            try:
                process = await self._start_one()
            except WorkerFailed as failure:
                delay = self._note_end(str(failure))
                reason = Reason.HUNG if isinstance(failure, WorkerHung) else Reason.CRASHED
                continue
            await self._rejoined(self)
            return process

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
        self.addresses = await self._until_ready(process)
        await self._catch_up(process, sent)
        self._backoff.became_ready()
        self.state = WorkerState.READY
        _log.info("worker ready", worker=self.index, pid=process.pid)
        return process

    async def _until_ready(self, process: WorkerProcess) -> Mapping[str, str]:
        try:
            async with asyncio.timeout(START_SECONDS):
                return await process.until_ready()
        except TimeoutError:
            await self._abort(process, START_SECONDS)
            how = describe_exit(await process.ended())
            raise WorkerHung(f"a worker did not serve within {START_SECONDS:g} s: {how}", 1) from None

    async def _abort(self, process: WorkerProcess, silent: float) -> None:
        _log.error("worker hangs", worker=self.index, pid=process.pid, silent_s=silent)
        await process.abort()

    async def _catch_up(self, process: WorkerProcess, sent: GatewayConfig) -> None:
        """Tell the new worker what has changed since the gateway started, and since it was ``sent`` its settings."""
        logs = LogSettings()
        while sent is not self._settings or logs != self._logs:
            if sent is not self._settings:
                sent = self._settings
                if refusal := await process.configure(sent):
                    _log.error("worker keeps its configuration", worker=self.index, reason=refusal)
            logs = self._logs
            await process.write_logs(logs)
