"""The race itself: every framework loads, is seen to agree with the others and to be warm, and runs in turns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np

from loadtest.frameworks.agreement import agree
from loadtest.frameworks.contestants import Absent, Broken, Contestant, line_up, measures_original
from loadtest.frameworks.racer import Racer
from loadtest.frameworks.worker import Job, Round
from loadtest.progress import Progress
from loadtest.statistics.warm_up import warm_up_length
from model_store.originals import Given
from model_store.store import StoredModel

# At least so many rounds, so that their ratios have an interval, and none longer than so many inferences.
_ROUNDS = 20
_LONGEST_ROUND = 100
# The end of the warm-up is looked for in steps of so many inferences, and given up after so many steps.
_WARM_UP_STEP = 64
_WARM_UP_STEPS = 16


class Race:
    """What is known of every framework at any moment, so that a race that is stopped still has its results.

    Attributes:
        out: the frameworks that take no part, with the reason.
        racers: those that do, one process each.
        differences: of their answers from the original's, the largest, by framework.
        warm_up: inferences that were found to be warm-up, by framework and batch size; None where the times never
            settled.
        rounds: what was measured, by framework and batch size.
    """

    def __init__(
        self, stored: StoredModel, batches: Sequence[int], threads: int, progress: Progress, given: Given | None = None
    ) -> None:
        self.out: list[Absent | Broken] = []
        self.racers: list[Racer] = []
        self.differences: dict[str, float | None] = {}
        self.warm_up: dict[tuple[str, int], int | None] = {}
        self.rounds: dict[tuple[str, int], list[Round]] = {}
        self._stored = stored
        self._batches = tuple(batches)
        self._threads = threads
        self._progress = progress
        self._given = given
        self._folder = TemporaryDirectory(prefix="loadtest-frameworks-", ignore_cleanup_errors=True)

    def run(self, inferences: int, random: Random) -> None:
        """The whole race; ``KeyboardInterrupt`` leaves what was measured until then."""
        self._load()
        self._agree()
        self._warm_up(inferences)
        self._take_turns(inferences, random)

    def close(self) -> None:
        """End all processes."""
        for racer in self.racers:
            racer.stop()
        self._folder.cleanup()

    @property
    def _running(self) -> list[Racer]:
        return [racer for racer in self.racers if not racer.problem]

    def _load(self) -> None:
        """One after the other: two that load at once would slow each other's cold start."""
        folder = Path(self._folder.name)
        original = folder / "original"
        original.mkdir()
        if measures_original(self._stored):
            self._progress(f"Preparing the original ({self._stored.manifest.origin.source})")
        for one in line_up(self._stored, original, self._given):
            if not isinstance(one, Contestant):
                self.out.append(one)
                continue
            self._progress(f"Loading {one.framework}")
            own = folder / one.framework
            own.mkdir()
            racer = Racer(one, Job(one.open, self._stored.directory, self._batches, self._threads, own))
            self.racers.append(racer)
            racer.start()

    def _agree(self) -> None:
        answers = {racer.contestant.framework: racer.ready.answers for racer in self._running if racer.ready}
        agreements = agree(self._stored, answers, self._batches)
        for racer in self._running:
            self.differences[racer.contestant.framework], racer.problem = agreements[racer.contestant.framework]

    def _warm_up(self, inferences: int) -> None:
        step = min(_WARM_UP_STEP, inferences)
        for racer in self._running:
            for batch in self._batches:
                self._progress(f"Warming up {racer.contestant.framework}, batch {batch}")
                self.warm_up[racer.contestant.framework, batch] = _warm_up(racer, batch, step)

    def _take_turns(self, inferences: int, random: Random) -> None:
        plan = rounds(inferences)
        for number, count in enumerate(plan, start=1):
            self._progress(f"Measuring, round {number} of {len(plan)}")
            turns = [(racer, batch) for racer in self._running for batch in self._batches]
            random.shuffle(turns)  # so that a drift of the machine hits all alike
            for racer, batch in turns:
                if racer.problem:
                    continue
                done = racer.run(batch, count)
                if done is not None:
                    self.rounds.setdefault((racer.contestant.framework, batch), []).append(done)


def rounds(inferences: int) -> list[int]:
    """``inferences`` split into rounds as evenly as possible."""
    count = min(max(_ROUNDS, math.ceil(inferences / _LONGEST_ROUND)), inferences)
    each, rest = divmod(inferences, count)
    return [each + (number < rest) for number in range(count)]


def _warm_up(racer: Racer, batch: int, step: int) -> int | None:
    """Run until at least half of the times are found to be no warm-up; the number that is, or None: they never are."""
    times: list[int] = []
    for _ in range(_WARM_UP_STEPS):
        done = racer.run(batch, step)
        if done is None:
            return None
        times += done.times
        length = warm_up_length(np.array(times, np.float64))
        if length is not None and 2 * length <= len(times):
            return length
    return None
