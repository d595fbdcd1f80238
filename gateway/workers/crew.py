"""All workers of one gateway: started together, told the same, stopped together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig, Listener
from gateway.core.log_settings import LogSettings
from gateway.telemetry.worker_metrics import WorkerMetrics
from gateway.workers.assignment import assignment, drain_seconds
from gateway.workers.worker_slot import Reason, WorkerSlot, WorkerState

_log = structlog.get_logger()


class Crew:
    """The workers of ``settings``, on the ports of ``shared``.

    Attributes:
        slots: the workers' places, by index.
        metrics: what the parent itself has to tell.
        greetings: what is to be done with a worker that serves in place of another.
    """

    def __init__(self, settings: GatewayConfig, shared: Mapping[str, Listener]) -> None:
        self._settings = settings
        self._shared = shared
        self.metrics = WorkerMetrics(WorkerState, Reason, self._count)
        self.greetings: list[Callable[[WorkerSlot], Awaitable[None]]] = []
        self.slots = [
            WorkerSlot(index, assignment(settings, index, shared), self.metrics.restarted, self._welcome)
            for index in range(settings.workers)
        ]

    @property
    def ready(self) -> list[WorkerSlot]:
        """Those that serve."""
        return [slot for slot in self.slots if slot.state is WorkerState.READY]

    async def start(self) -> None:
        """Return when all serve.

        Raises:
            WorkerFailed: one does not start; says why.
        """
        try:
            async with asyncio.TaskGroup() as group:  # the first that fails cancels the others
                for slot in self.slots:
                    group.create_task(slot.start())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def obey(self, settings: GatewayConfig) -> None:
        """Have all workers, and those after them, run with ``settings``, which differ in what may change meanwhile.

        One worker says for all whether it can be done: the others hear of it when that one has taken them.

        Raises:
            ConfigError: it does not; all go on as before.
        """
        first = next(iter(self.ready), None)
        if first is not None and (refusal := await first.configure(self._assigned(first, settings))):
            raise ConfigError(refusal)
        self._settings = settings
        await asyncio.gather(*(self._follow(slot) for slot in self.slots if slot is not first))

    async def write_logs(self, logs: LogSettings) -> None:
        """Have all workers, and those after them, write these log messages."""
        await asyncio.gather(*(slot.write_logs(logs) for slot in self.slots))

    async def stop(self) -> None:
        """Drain all at once, and return when they are gone."""
        patience = drain_seconds(self._settings)
        await asyncio.gather(*(slot.stop(patience) for slot in self.slots))

    def kill(self) -> None:
        """End all now."""
        for slot in self.slots:
            slot.kill()

    async def _follow(self, slot: WorkerSlot) -> None:
        settings = self._assigned(slot, self._settings)
        if refusal := await slot.configure(settings):
            _log.error("worker is replaced: it does not take the new configuration", worker=slot.index, reason=refusal)
            slot.replace(settings)

    def _assigned(self, slot: WorkerSlot, settings: GatewayConfig) -> GatewayConfig:
        return assignment(settings, slot.index, self._shared)

    async def _welcome(self, newcomer: WorkerSlot) -> None:
        for greeting in self.greetings:
            await greeting(newcomer)

    def _count(self, state: str) -> int:
        return sum(slot.state == state for slot in self.slots)
