"""A target under measurement from all workers at once; it is used as ``loadtest.measure.subject.Subject`` is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from loadtest.clock import NS
from loadtest.distributed.cluster import RayWorkers, WorkerLost
from loadtest.distributed.measurer import Key, Order, Part
from loadtest.distributed.merge import merge_blocks
from loadtest.errors import BadSpec
from loadtest.load.loads import AnyLoad, ClosedLoop, MultiStream, Offline
from loadtest.measure.agreement import Outputs
from loadtest.measure.measured import MeasuredTarget
from loadtest.measure.settings import Settings
from loadtest.measure.subject import Watch
from loadtest.payloads.workload import Workload
from loadtest.results.block import Block
from loadtest.targets.target import Target

# Time in ns between an order and its start: by then it must have reached every worker.
_NOTICE = NS // 2
# A worker that begins later than this (ns) was not under load together with the others.
_PUNCTUAL = NS // 50
# Seconds that workers have for handing over what they measured, after they were stopped.
_PARTING = 10.0


def check_shareable(load: AnyLoad, workers: int) -> None:
    """Refuse a load that has not at least one caller or request for each of ``workers``.

    Raises:
        BadSpec: it cannot be shared.
    """
    match load:
        case MultiStream():
            raise BadSpec(f"load {load.spec!r} is one query after the other and cannot be shared by several workers")
        case ClosedLoop(concurrency=parts) | Offline(requests=parts) if parts < workers:
            raise BadSpec(f"load {load.spec!r} cannot be shared by {workers} workers: at least one for each is needed")


class SharedSubject(MeasuredTarget):
    """One target under measurement. A ``problem`` ends its part in the experiment."""

    def __init__(
        self, target: Target, workload: Workload, settings: Settings, workers: RayWorkers, first_payload: int = 0
    ) -> None:
        super().__init__(target, workload, first_payload)
        self._workers = workers
        self._key: Key = (target.name, first_payload)
        bound = max(settings.most_in_flight // max(len(workers.workers), 1), 1)
        self._settings = replace(settings, most_in_flight=bound)

    async def interview(self) -> tuple[Outputs, ...]:
        """Every worker learns the answers to all payloads; those of the first, none and a problem when one fails."""
        answers = await self._workers.call("prepare", self.target, self.workload, self._settings, self.first_payload)
        if self._find_lost(answers):
            return ()
        for worker, (_, problem) in zip(self._workers.workers, answers, strict=True):
            if problem:
                self.problem = f"{problem} (from {worker.host})"
                return ()
        outputs: tuple[Outputs, ...] = answers[0][0]
        return outputs

    async def warm_up(self, concurrency: int) -> None:
        """Put load on the target that is not kept, until its times have settled for every worker."""
        self._find_lost(await self._workers.call("warm_up", self._key, concurrency))

    async def measure(
        self,
        load: AnyLoad,
        repetition: int = 0,
        *,
        window: int | None = None,
        arrivals_seed: int | None = None,
        restart: int = 0,
        watch: Watch | None = None,  # noqa: ARG002 - samples come when the block is over
    ) -> Block | None:
        """Add one block, merged from every worker's, and return it; None when there is none.

        A lost worker voids it: what is left is not the load that was asked for. A cancelled block keeps what it has.

        Raises:
            BadSpec: the load cannot be shared.
        """
        check_shareable(load, len(self._workers.workers))
        if self.problem or self.is_void(load):
            return None
        start = time.time_ns() + _NOTICE
        orders = [
            Order(load, repetition, restart, worker.offset.there(start), window, arrivals_seed)
            for worker in self._workers.workers
        ]
        measuring = asyncio.gather(
            *(
                worker.call("measure", self._key, order)
                for worker, order in zip(self._workers.workers, orders, strict=True)
            ),
            return_exceptions=True,
        )
        try:
            return self._keep(await asyncio.shield(measuring))
        except asyncio.CancelledError:
            await self._stop(measuring)
            raise

    async def disconnect(self) -> None:
        """Close every connection; the next block opens new ones."""
        self._find_lost(await self._workers.call("disconnect", self._key))

    async def reappear(self) -> None:
        """Wait until a server that was started anew answers every worker."""
        answers = await self._workers.call("reappear", self._key)
        if not self._find_lost(answers):
            self.problem = next(filter(None, answers), "")

    async def _stop(self, measuring: asyncio.Future[list[Part | BaseException]]) -> None:
        try:
            async with asyncio.timeout(_PARTING):
                await self._workers.call("stop")
                self._keep(await measuring)
        except TimeoutError:
            self.problem = f"the workers gave nothing back within {_PARTING:g} s"

    def _keep(self, answers: list[Part | BaseException]) -> Block | None:
        lost = self._find_lost(answers)
        parts = [answer for answer in answers if isinstance(answer, Part)]
        blocks = [part.block for part in parts if part.block is not None]
        self.problem = self.problem or next((part.problem for part in parts if part.problem), "")
        if not blocks:
            return None
        merged = merge_blocks(blocks)
        reasons = [merged.void, *(f"{sentence}, and its part of the load with it" for sentence in lost)]
        reasons += [
            f"the worker on {worker.host} began {part.late / 1e6:.0f} ms after the agreed moment"
            for worker, part in zip(self._workers.workers, answers, strict=True)
            if isinstance(part, Part) and part.late > _PUNCTUAL
        ]
        block = structs.replace(merged, void="; ".join(reason for reason in reasons if reason))
        self.blocks.append(block)
        return block

    def _find_lost(self, answers: Sequence[object]) -> list[str]:
        """Sentences about the lost workers, the first of which is the subject's problem from now on."""
        lost = [str(answer) for answer in answers if isinstance(answer, WorkerLost)]
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, WorkerLost):
                raise answer
        if lost:
            self.problem = lost[0]
        return lost
