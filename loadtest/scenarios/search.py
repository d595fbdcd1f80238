"""The highest rate at which one target meets an SLO, measured."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec

from loadtest.clock import NS, open_clock
from loadtest.errors import Failed
from loadtest.load.loads import Poisson
from loadtest.measure.experiment import Watcher
from loadtest.measure.gates import CEILING_SHARE
from loadtest.measure.subject import Subject
from loadtest.measure.summarise import summarise_target
from loadtest.progress import Progress
from loadtest.results.block import Block
from loadtest.results.report import Report
from loadtest.results.search import SearchResult
from loadtest.scenarios.plan import Plan
from loadtest.scenarios.reporting import Record
from loadtest.search.attempt import Attempt, SearchStopped, attempt_of
from loadtest.search.highest_rate import Limits, find_highest_rate
from loadtest.slo import Slo


class _Trials:
    """Measures single rates for the search, and keeps every block."""

    def __init__(self, subject: Subject, record: Record, slo: Slo, progress: Progress, watcher: Watcher | None) -> None:
        self.blocks: list[Block] = []
        self.interrupted = False
        self._subject = subject
        self._record = record
        self._slo = slo
        self._progress = progress
        self._watcher = watcher

    async def measure(self, rate: float, seconds: float, arrivals_seed: int) -> Attempt:
        """One trial; raises SearchStopped on Ctrl-C and when the target is gone."""
        load = Poisson(rate=rate)
        self._progress(f"Trying {rate:,.4g} requests/s for {seconds:.3g} s")
        watch = self._watcher(self._subject.target.name, load, seconds) if self._watcher else None
        self._subject.blocks.clear()
        try:
            block = await self._subject.measure(
                load, len(self.blocks), window=int(seconds * NS), arrivals_seed=arrivals_seed, watch=watch
            )
        except asyncio.CancelledError:
            self.interrupted = True
            raise SearchStopped("interrupted") from None
        if block is None:
            raise SearchStopped(self._subject.problem)
        self.blocks.append(block)
        target = msgspec.structs.replace(self._subject.result(), problem="", blocks=(block,))
        attempt = attempt_of(summarise_target(self._record.report([target]), target, load), self._slo)
        self._progress(f"{rate:,.4g} requests/s: {_verdict(attempt)}")
        return attempt


async def search(plan: Plan, slo: Slo, limits: Limits, *, progress: Progress, watcher: Watcher | None = None) -> Report:
    """Search for the highest rate at which the plan's only target meets ``slo``.

    Raises:
        Failed: the target does not answer.
    """
    ((target, workload),) = plan.subjects
    record = Record(plan)
    with open_clock() as clock, open_clock() as lag_clock:
        subject = Subject(target, workload, plan.settings, clock, lag_clock)
        try:
            if not subject.problem:
                progress("Checking answers")
                await subject.interview()
            if subject.problem:
                raise Failed(f"{target.name}: {subject.problem}")
            progress("Warming up")
            await subject.warm_up(plan.most_callers)
            trials = _Trials(subject, record, slo, progress, watcher)
            found = await find_highest_rate(
                trials.measure,
                slo,
                target=target.name,
                seed=plan.settings.seeds.arrivals,
                limits=below_ceiling(limits, plan, target.protocol),
            )
        finally:
            progress("")
            await subject.disconnect()
    record.add(Poisson(rate=_answer(found)))
    result = msgspec.structs.replace(subject.result(), blocks=tuple(trials.blocks))
    return msgspec.structs.replace(record.report([result], interrupted=trials.interrupted), search=found)


def _verdict(attempt: Attempt) -> str:
    if not attempt.valid:
        return f"not valid, {attempt.reason}"
    return "; ".join(attempt.violations) or "met"


def _answer(found: SearchResult) -> float:
    """The rate to report on: the highest that met the SLO, or the lowest that was tried."""
    return found.low or min(trial.rate for trial in found.trials)


def below_ceiling(limits: Limits, plan: Plan, transport: str) -> Limits:
    """Above a share of the tester's own ceiling its numbers would be the tester's."""
    if plan.force:
        return limits
    for one in plan.calibrations:
        if one.transport == transport and CEILING_SHARE * one.ceiling < limits.ceiling:
            reason = f"70 % of what this tester can make over {transport} here ({one.ceiling:,.0f} requests/s)"
            return replace(limits, ceiling=CEILING_SHARE * one.ceiling, ceiling_reason=reason)
    return limits
