"""What a comparison of frameworks found; the ``--json`` document. Times are in seconds unless a name says otherwise."""

from __future__ import annotations

from loadtest.results.block import Struct
from loadtest.results.environment import Environment
from loadtest.statistics.estimate import Estimate


class BatchResult(Struct, frozen=True, kw_only=True):
    """One framework at one batch size.

    Attributes:
        batch: rows in each inference.
        inferences: that were timed.
        warm_up: inferences before them that were found to be warm-up; None when the times never settled.
        p50, p90, p99: of the time of one inference of the whole batch.
        rows_per_second: rows through one caller that waits for each answer: rows divided by the mean time.
        ratio: its median time divided by that of the fastest framework at this batch size, in the same rounds; None
            for the fastest.
        steady: whether the times stayed the same over the rounds; None when there are too few to say.
        rounds_ns: every time in ns, by round.
    """

    batch: int
    inferences: int
    warm_up: int | None
    p50: Estimate
    p90: Estimate
    p99: Estimate
    rows_per_second: Estimate
    ratio: Estimate | None = None
    steady: bool | None = None
    rounds_ns: tuple[tuple[int, ...], ...]


class FrameworkResult(Struct, frozen=True, kw_only=True):
    """One framework.

    Attributes:
        runs: what of the model it runs, such as ``original, predict_proba of RandomForestClassifier``.
        version: its own; empty while it was not loaded.
        device: where it runs.
        load: time to import the framework and load the model, measured once.
        first_inference: time of the first inference, measured once.
        memory_peak: most memory (bytes, resident) that its process held.
        waited: share of the measured time in which its busiest thread stood ready and others had the CPU; None where
            the kernel does not say.
        largest_difference: of its answers from the original's.
        absent: why the model cannot run in it; no error.
        problem: why there are no times, or why they must not be used.
    """

    framework: str
    runs: str = ""
    version: str = ""
    device: str = ""
    load: float | None = None
    first_inference: float | None = None
    memory_peak: int | None = None
    waited: float | None = None
    largest_difference: float | None = None
    absent: str = ""
    problem: str = ""
    batches: tuple[BatchResult, ...] = ()

    @property
    def cold_start(self) -> float | None:
        """Seconds from nothing to the first answer."""
        return None if self.load is None or self.first_inference is None else self.load + self.first_inference

    def at(self, batch: int) -> BatchResult | None:
        """What was measured at a batch size."""
        return next((one for one in self.batches if one.batch == batch), None)


class FrameworksReport(Struct, frozen=True, kw_only=True):
    """The comparison.

    Attributes:
        started: ISO 8601, UTC.
        inferences: asked for, of each framework at each batch size.
        threads: CPU threads that one inference may use.
        seed: of the order of the turns.
        stolen_cpu: share of the machine's CPU time that the host gave to other guests meanwhile.
        verdict: one line a batch size; empty when fewer than two could be measured, or the run is not valid.
        invalid: why the numbers must not be trusted; empty when they may.
        warnings: what lessens their worth without making them wrong.
    """

    model: str
    version: str
    started: str
    inferences: int
    batches: tuple[int, ...]
    threads: int
    seed: int
    environment: Environment
    stolen_cpu: float
    interrupted: bool
    frameworks: tuple[FrameworkResult, ...]
    verdict: str
    invalid: tuple[str, ...]
    warnings: tuple[str, ...] = ()
