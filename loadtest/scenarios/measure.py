"""Carries out a plan: every load against every target, in interleaved blocks, and the report of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loadtest.clock import open_clock
from loadtest.errors import Failed
from loadtest.load.loads import AnyLoad, Poisson
from loadtest.measure.experiment import Experiment, Measurable, Watcher
from loadtest.measure.rates import throughput
from loadtest.measure.subject import Subject
from loadtest.measure.summarise import settled_columns
from loadtest.progress import Progress
from loadtest.results.report import Report, TargetResult
from loadtest.scenarios.plan import Plan
from loadtest.scenarios.reporting import Record
from loadtest.statistics.convergence import Until, converged, next_look
from loadtest.statistics.series import quantile_estimates

# Open loops run at this share of the slowest target's capacity: the same rate for all, and one that all can bear.
_LOAD_FACTOR = 0.5


class Measurement:
    """One run. ``report`` may be called at any time, also after a cancellation."""

    def __init__(self, plan: Plan, experiment: Experiment, progress: Progress) -> None:
        self._plan = plan
        self._experiment = experiment
        self._progress = progress
        self._record = Record(plan)

    async def run(self) -> None:
        """Measure everything that is planned."""
        plan = self._plan
        await self._experiment.prepare(plan.most_callers)
        for restart in range(plan.restarts):
            if restart:
                self._progress(f"Starting the servers anew: {plan.restart}")
                await self._experiment.restarted(lambda: _shell(plan.restart))
                await self._experiment.warm_up(plan.most_callers)
            for load in plan.loads:
                await self._measure(load, restart)
            for load in self._half_rate():
                await self._measure(load, restart)

    def report(self, *, interrupted: bool) -> Report:
        """What was measured so far."""
        return self._record.report(self._experiment.results, interrupted=interrupted)

    async def _measure(self, load: AnyLoad, restart: int) -> None:
        self._record.add(load)
        repetitions, until = self._plan.settings.repetitions, self._plan.until
        look = 1
        for number in range(repetitions):
            await self._experiment.round(load, restart * repetitions + number, restart)
            if until and number + 1 >= look:
                if all(_narrow(target, load, until) for target in self._experiment.results if not target.problem):
                    return
                look = next_look(number + 1)

    def _half_rate(self) -> Sequence[AnyLoad]:
        """The same in every outer repetition."""
        if not self._plan.half_rate:
            return ()
        known = [load for load in self._record.loads if load not in self._plan.loads]
        rate = 0.0 if known else half_rate(self._experiment.results)
        return known or ((Poisson(rate=rate),) if rate else ())


async def measure(plan: Plan, *, progress: Progress, watcher: Watcher | None = None) -> Report:
    """Carry out ``plan``. A cancellation ends it with what was measured until then, and the report says so."""
    with open_clock() as clock, open_clock() as lag_clock:
        subjects = [
            Subject(target, workload, plan.settings, clock, lag_clock, plan.first_payload(workload))
            for target, workload in plan.subjects
        ]
        return await measure_subjects(plan, subjects, progress=progress, watcher=watcher)


async def measure_subjects(
    plan: Plan, subjects: Sequence[Measurable], *, progress: Progress, watcher: Watcher | None = None
) -> Report:
    """As ``measure``, with the plan's subjects already made."""
    interrupted = False
    experiment = Experiment(subjects, plan.settings, progress=progress, watcher=watcher)
    measurement = Measurement(plan, experiment, progress)
    try:
        await measurement.run()
    except asyncio.CancelledError:
        interrupted = True
    finally:
        progress("")
        await experiment.close()
    return measurement.report(interrupted=interrupted)


def half_rate(results: Sequence[TargetResult]) -> float:
    """Half of the slowest target's best rate in closed loops, to two digits; 0 when nothing was measured."""
    capacities = []
    for result in results:
        loads = {block.load for block in result.blocks}
        rates = [throughput([block for block in result.blocks if block.load == load]) for load in loads]
        if rates and not result.problem:
            capacities.append(max(rate.value for rate in rates if rate))
    return float(f"{_LOAD_FACTOR * min(capacities, default=0.0):.2g}")


def _narrow(target: TargetResult, load: AnyLoad, until: Until) -> bool:
    blocks = [block for block in target.blocks if block.load == load.spec]
    columns, _ = settled_columns(blocks, load)
    segments = [one.response_time for one in columns if len(one.response_time)]
    return bool(segments) and converged(quantile_estimates(segments, [until.share])[until.share], until)


async def _shell(command: str) -> None:
    """Raises Failed when ``command`` does not succeed."""
    process = await asyncio.create_subprocess_shell(command, stdout=asyncio.subprocess.DEVNULL)
    code = await process.wait()
    if code:
        raise Failed(f"--restart: {command!r} ended with exit code {code}")
