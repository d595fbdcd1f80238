"""Measures targets fairly: short blocks, interleaved in random order, so that a drift of the machine hits all alike."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Protocol

from loadtest.clock import NS
from loadtest.load.loads import AnyLoad
from loadtest.measure.agreement import Outputs, compare_answers
from loadtest.measure.settings import Settings
from loadtest.measure.subject import Watch
from loadtest.payloads.workload import Workload
from loadtest.progress import Progress
from loadtest.results.block import Block
from loadtest.results.report import TargetResult
from loadtest.targets.target import Target

# Told of every block: the target's name, its load, and the window in seconds; gives what looks at it once a second.
Watcher = Callable[[str, AnyLoad, float], Watch]


class Measurable(Protocol):
    """A target under measurement, by this process (``Subject``) or by several (``SharedSubject``)."""

    target: Target
    workload: Workload
    problem: str
    largest_difference: float | None

    async def interview(self) -> tuple[Outputs, ...]:
        """The answers to all payloads; empty, and a problem, when there are none."""

    async def warm_up(self, concurrency: int) -> None:
        """Put load on the target that is not kept, until its times have settled."""

    async def measure(
        self, load: AnyLoad, repetition: int = 0, *, restart: int = 0, watch: Watch | None = None
    ) -> Block | None:
        """Add one block, if the target bears the load."""

    async def disconnect(self) -> None:
        """Close every connection; the next block opens new ones."""

    async def reappear(self) -> None:
        """Wait until a server that was started anew answers."""

    def result(self) -> TargetResult:
        """What was measured so far."""


class Experiment:
    """Runs loads against ``subjects``. ``results`` may be read at any time, also after a cancellation."""

    def __init__(
        self,
        subjects: Sequence[Measurable],
        settings: Settings,
        *,
        progress: Progress,
        watcher: Watcher | None = None,
    ) -> None:
        self._settings = settings
        self._progress = progress
        self._watcher = watcher
        self._random = Random(settings.seeds.samples)  # noqa: S311
        self._subjects = subjects

    @property
    def results(self) -> tuple[TargetResult, ...]:
        """What was measured so far, in the order of the targets."""
        return tuple(subject.result() for subject in self._subjects)

    async def prepare(self, concurrency: int) -> None:
        """Check every target's answers, then warm it up with ``concurrency`` requests in flight."""
        gc.collect()
        gc.freeze()  # what lives now stays; the collections between blocks need not look at it
        answers = {subject: await subject.interview() for subject in self._each("Checking answers")}
        for workload in {id(subject.workload): subject.workload for subject in self._subjects}.values():
            asked = [subject for subject, outputs in answers.items() if outputs and subject.workload is workload]
            agreements = compare_answers([answers[subject] for subject in asked], workload)
            for subject, agreement in zip(asked, agreements, strict=True):
                subject.largest_difference = agreement.largest_difference
                subject.problem = agreement.problem
        await self.warm_up(concurrency)

    async def warm_up(self, concurrency: int) -> None:
        """Put load on every target until its times have settled."""
        for subject in self._each("Warming up"):
            await subject.warm_up(concurrency)

    async def round(self, load: AnyLoad, repetition: int, restart: int = 0) -> None:
        """Measure every target once under ``load``, in an order of its own."""
        window = self._settings.window
        for subject in self._each(f"{load.title}, round {repetition + 1}"):
            watch = self._watcher(subject.target.name, load, window / NS) if self._watcher else None
            await subject.measure(load, repetition, restart=restart, watch=watch)

    async def restarted(self, restart: Callable[[], Awaitable[None]]) -> None:
        """Close every connection, have the servers started anew, and wait until they answer again."""
        for subject in self._subjects:
            await subject.disconnect()
        await restart()
        for subject in self._each("Waiting for the servers"):
            await subject.reappear()

    async def close(self) -> None:
        """Close every connection."""
        gc.unfreeze()
        for subject in self._subjects:
            await subject.disconnect()

    def _each(self, title: str) -> list[Measurable]:
        """The targets without a problem, in random order."""
        subjects = [subject for subject in self._subjects if not subject.problem]
        self._random.shuffle(subjects)
        self._progress(title)
        return subjects
