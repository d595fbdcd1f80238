"""PyTorch, TensorFlow and ONNX Runtime on the same net, without any server: each in its own process, in turns."""

from __future__ import annotations

import math
import multiprocessing
import shutil
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from tempfile import mkdtemp

import msgspec
import numpy as np

from loadtest.agreement import compare_answers
from loadtest.clock import NS
from loadtest.engine_worker import Failed, Job, Ready, serve_rounds
from loadtest.machine import this_machine
from loadtest.progress import Progress
from loadtest.results import Machine
from loadtest.statistics import Interval, percentile, quantile_interval, shown_percentile
from loadtest.summary import percent_faster
from model_store.store import StoredModel

NAMES = {"pytorch": "PyTorch", "tensorflow": "TensorFlow", "onnxruntime": "ONNX Runtime"}
NO_DIFFERENCE = "No significant difference"
# At least so many rounds, and none longer than so many inferences.
_ROUNDS = 10
_LONGEST_ROUND = 100
_WARM_UP = 50
_HANG_UP_SECONDS = 5


class FrameworkResult(msgspec.Struct, frozen=True, kw_only=True):
    """One framework; times in seconds for one inference of a whole batch.

    ``median_interval`` comes from the rounds' medians. ``problem`` says why there are no times.
    """

    framework: str
    version: str = ""
    device: str = ""
    median: float | None = None
    median_interval: Interval | None = None
    p90: float | None = None
    p99: float | None = None
    rounds_ns: tuple[tuple[int, ...], ...] = ()
    problem: str = ""


class FrameworksReport(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison; ``verdict`` is the winner's line, empty when fewer than two could be measured."""

    model: str
    inferences: int
    batch: int
    threads: int
    seed: int
    machine: Machine
    interrupted: bool
    frameworks: tuple[FrameworkResult, ...]
    verdict: str


class _Racer:
    """One framework's worker process."""

    def __init__(self, job: Job) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self.kind = job.kind
        self.problem = ""
        self.ready: Ready | None = None
        self.rounds: list[tuple[int, ...]] = []
        self._log = job.log
        self._connection: Connection = ours
        self._process: BaseProcess = context.Process(target=serve_rounds, args=(theirs, job), daemon=True)
        self._process.start()
        theirs.close()

    def start(self) -> None:
        """Wait until the engine is warm, or has failed."""
        answer = self._receive()
        if isinstance(answer, Ready):
            self.ready = answer
        elif isinstance(answer, Failed):
            self.problem = answer.reason

    def run(self, count: int) -> None:
        """One round of ``count`` inferences."""
        try:
            self._connection.send(count)
        except OSError:
            self.problem = f"its process ended{self._last_words()}"
            return
        times = self._receive()
        if isinstance(times, list):
            self.rounds.append(tuple(times))

    def stop(self) -> None:
        self._connection.close()
        self._process.join(_HANG_UP_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def result(self) -> FrameworkResult:
        name = NAMES[self.kind]
        if self.ready is None or not self.rounds or self.problem:
            return FrameworkResult(framework=name, problem=self.problem or "not measured")
        ordered = np.sort(np.concatenate([np.asarray(times) for times in self.rounds])) / NS
        medians = [percentile(np.sort(np.asarray(times)), 0.5) / NS for times in self.rounds]
        return FrameworkResult(
            framework=name,
            version=self.ready.version,
            device=self.ready.device,
            median=percentile(ordered, 0.5),
            median_interval=quantile_interval(medians),
            p90=shown_percentile(ordered, 0.9),
            p99=shown_percentile(ordered, 0.99),
            rounds_ns=tuple(self.rounds),
        )

    def _receive(self) -> object:
        try:
            answer: object = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(_HANG_UP_SECONDS)
            self.problem = f"its process ended with exit code {self._process.exitcode}{self._last_words()}"
            return None
        return answer

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines() if self._log.exists() else []
        return f": {lines[-1]}" if lines else ""


def run_frameworks(
    stored: StoredModel, *, inferences: int, batch: int, threads: int, seed: int, progress: Progress
) -> FrameworksReport:
    """Time ``inferences`` runs in each framework, in rounds whose order changes, so that a drift hits all alike.

    Ctrl-C ends it with what was measured until then.
    """
    logs = Path(mkdtemp(prefix="loadtest-"))
    racers: list[_Racer] = []
    interrupted = False
    try:
        progress(f"Loading {', '.join(NAMES.values())}")
        for kind in NAMES:
            racers.append(_Racer(Job(kind, stored.directory, batch, threads, _WARM_UP, logs / kind)))  # noqa: PERF401
        for racer in racers:
            racer.start()
        _compare(racers, stored)
        random = Random(seed)  # noqa: S311
        rounds = _rounds(inferences)
        for number, count in enumerate(rounds, start=1):
            progress(f"Measuring, round {number} of {len(rounds)}")
            racing = [racer for racer in racers if not racer.problem]
            random.shuffle(racing)
            for racer in racing:
                racer.run(count)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress("")
        for racer in racers:
            racer.stop()
        shutil.rmtree(logs)
    results = tuple(racer.result() for racer in racers)
    return FrameworksReport(
        model=stored.manifest.name,
        inferences=inferences,
        batch=batch,
        threads=threads,
        seed=seed,
        machine=this_machine(),
        interrupted=interrupted,
        frameworks=results,
        verdict=winner(results),
    )


def winner(results: Sequence[FrameworkResult]) -> str:
    """The line that ends the comparison: how much faster the first is than the second, if that is established."""
    measured = sorted(
        ((result.median, result) for result in results if result.median is not None), key=lambda entry: entry[0]
    )
    if len(measured) < 2:
        return ""
    (best_median, best), (second_median, _) = measured[:2]
    interval = best.median_interval
    if not interval or any(
        not one.median_interval or one.median_interval.overlaps(interval) for _, one in measured[1:]
    ):
        return NO_DIFFERENCE
    return f"Winner: {best.framework} ({percent_faster(best_median, second_median)} faster)"


def _compare(racers: Sequence[_Racer], stored: StoredModel) -> None:
    """Frameworks that compute something else have not won anything."""
    answered = [(racer, racer.ready.answers) for racer in racers if racer.ready]
    agreements = compare_answers([answers for _, answers in answered], stored.manifest.scores_output or "")
    for (racer, _), agreement in zip(answered, agreements, strict=True):
        racer.problem = agreement.problem


def _rounds(inferences: int) -> list[int]:
    """``inferences`` split into rounds as evenly as possible."""
    count = max(_ROUNDS, math.ceil(inferences / _LONGEST_ROUND))
    each, rest = divmod(inferences, count)
    return [each + (number < rest) for number in range(count)]
