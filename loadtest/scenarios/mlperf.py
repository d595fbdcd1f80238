"""A plan carried out by MLPerf's own load generator, as a cross-check of this one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from loadtest.errors import Failed, Unusable
from loadtest.load.loads import AnyLoad
from loadtest.measure.measured import MeasuredTarget
from loadtest.mlperf.engine import MlperfRun
from loadtest.mlperf.job import Job, Outcome
from loadtest.mlperf.scenario import LoadGenSettings, scenario_of
from loadtest.mlperf.system import TargetSystem
from loadtest.progress import Progress
from loadtest.results.mlperf import MlperfResult
from loadtest.results.report import Report
from loadtest.scenarios.plan import Plan
from loadtest.scenarios.reporting import Record

# LoadGen's Server scenario wants a limit for its verdict; MLPerf's own for picture classification is 15 ms, for large
# models seconds. This one only marks a server that is out of its depth.
_LATENCY_LIMIT = 1.0
_CONNECTIONS = 16


async def measure_with_mlperf(plan: Plan, output: Path, *, progress: Progress) -> Report:
    """Carry out ``plan``; LoadGen's logs go to a folder of their own in ``output``.

    Raises:
        Unusable: LoadGen has no such load or is not installed, or the plan has several targets.
    """
    if len(plan.subjects) > 1:
        raise Unusable("--engine mlperf measures one target with one batch size at a time")
    for load in plan.loads:
        scenario_of(load)
    tests = _Tests(plan, output / f"mlperf-{datetime.now(UTC):%Y%m%d-%H%M%S}", progress)
    interrupted = False
    try:
        await tests.run()
    except asyncio.CancelledError:
        interrupted = True
    finally:
        progress("")
    return tests.report(interrupted=interrupted)


class _Tests:
    """Every load of the plan, each as often as it has repetitions."""

    def __init__(self, plan: Plan, directory: Path, progress: Progress) -> None:
        self._plan = plan
        self._directory = directory
        self._progress = progress
        self._record = Record(plan)
        self._results: list[MlperfResult] = []
        ((target, workload),) = plan.subjects
        self._measured = MeasuredTarget(target, workload)

    async def run(self) -> None:
        """Test until all is done or the target has a problem."""
        for load in self._plan.loads:
            for repetition in range(self._plan.settings.repetitions):
                if self._measured.problem:
                    return
                self._record.add(load)
                self._progress(f"{load.title}, LoadGen test {repetition + 1} of {self._plan.settings.repetitions}")
                await self._test(load, repetition)

    def report(self, *, interrupted: bool) -> Report:
        """What was measured so far."""
        report = self._record.report([self._measured.result()], interrupted=interrupted)
        return msgspec.structs.replace(report, mlperf=tuple(self._results))

    async def _test(self, load: AnyLoad, repetition: int) -> None:
        settings = self._plan.settings
        name = load.spec.replace(":", "-").replace("/", "-")
        job = Job(
            TargetSystem(
                self._measured.target,
                self._measured.workload,
                timeout=settings.timeout,
                seed=settings.seeds.samples,
                connections=_CONNECTIONS,
            ),
            LoadGenSettings(
                load=load,
                seconds=settings.window / 1e9,
                seeds=settings.seeds,
                latency_limit=_LATENCY_LIMIT,
                most_in_flight=settings.most_in_flight,
            ),
            directory=self._directory / f"{name}-{repetition + 1}",
            repetition=repetition,
        )
        run = MlperfRun(job)
        try:
            self._keep(load, repetition, await run.run())
        except Failed as error:
            self._measured.problem = str(error)
        except asyncio.CancelledError:
            self._keep(load, repetition, run.outcome)
            raise

    def _keep(self, load: AnyLoad, repetition: int, outcome: Outcome) -> None:
        if outcome.block is not None:
            self._measured.blocks.append(outcome.block)
        self._results.append(
            MlperfResult(
                target=self._measured.target.name,
                load=load.spec,
                repetition=repetition,
                summary=outcome.summary,
                invalid=outcome.invalid,
            )
        )
