"""Measures targets fairly: short blocks, interleaved in random order, so that a drift of the machine hits all alike."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from random import Random

from loadtest.agreement import compare_answers
from loadtest.clock import Clock
from loadtest.progress import Progress
from loadtest.results import ClosedLoop, OpenLoop, TargetResult
from loadtest.samples import MeasuredModel
from loadtest.subject import Settings, Subject
from loadtest.targets import Target


class Experiment:
    """Runs loads against ``targets``. ``results`` may be read at any time, also after a cancellation."""

    def __init__(
        self, model: MeasuredModel, targets: Sequence[Target], settings: Settings, *, clock: Clock, progress: Progress
    ) -> None:
        self._model = model
        self._settings = settings
        self._progress = progress
        self._random = Random(settings.seed)  # noqa: S311
        self._subjects = [Subject(target, model, settings, clock) for target in targets]

    @property
    def results(self) -> tuple[TargetResult, ...]:
        """What was measured so far, in the order of the targets."""
        return tuple(subject.result() for subject in self._subjects)

    async def prepare(self, concurrency: int) -> None:
        """Check every target's answers, then warm it up with ``concurrency`` requests in flight."""
        gc.collect()
        gc.freeze()  # what lives now stays; the collections between blocks need not look at it
        answers = {subject: await subject.interview() for subject in self._each("Checking answers")}
        answered = {subject: outputs for subject, outputs in answers.items() if outputs}
        agreements = compare_answers(list(answered.values()), self._model.class_output)
        for subject, agreement in zip(answered, agreements, strict=True):
            subject.largest_difference = agreement.largest_difference
            subject.problem = agreement.problem
        for subject in self._each("Warming up"):
            await subject.warm_up(concurrency)

    async def run(self, phase: ClosedLoop | OpenLoop) -> None:
        """Measure every target under ``phase``: all of them once in each repetition, every time in another order."""
        for repetition in range(self._settings.repetitions):
            title = f"{phase.title}, round {repetition + 1} of {self._settings.repetitions}"
            for subject in self._each(title):
                await subject.measure(phase, repetition)

    async def close(self) -> None:
        """Close every connection."""
        gc.unfreeze()
        for subject in self._subjects:
            await subject.close()

    def _each(self, title: str) -> list[Subject]:
        """The targets without a problem, in random order."""
        subjects = [subject for subject in self._subjects if not subject.problem]
        self._random.shuffle(subjects)
        self._progress(title)
        return subjects
