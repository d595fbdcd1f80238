"""The highest rate of Poisson arrivals that meets an SLO: double, bisect, validate both ends with fresh arrivals.

Near the knee the verdict of one trial is a coin toss. Three things keep the answer honest and repeatable: no trial
shares its arrivals with another; both ends of the bracket have to hold in further trials, and move outwards when they
do not, so that the interval is as wide as what is not known; and validations are longer, and longer still after every
verdict that was contradicted, up to a cap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from loadtest.errors import BadSpec
from loadtest.load.spec import MOST_RATE
from loadtest.results.search import SearchResult, Stage, Trial
from loadtest.search.attempt import Measure, SearchStopped
from loadtest.search.duration import Durations
from loadtest.slo import Slo

# With more contradictions than this, the verdicts hardly depend on the rate.
_MOST_CONTRADICTIONS = 12
# What validations must tell apart, as a share of the precision, and how much less all trials after a contradiction.
_VALIDATION_SHARE = 0.7
_CONTRADICTION_SHARE = 0.8


@dataclass(slots=True, frozen=True, kw_only=True)
class Limits:
    """How to search.

    Attributes:
        start: the first rate (requests/s); the search goes up or down from there.
        ceiling: the highest rate that may be tried, and in a sentence why.
        precision: relative width of the bracket that bisecting ends at.
        validations: trials with fresh arrivals in which each end must hold.
        least_seconds, most_seconds: bounds of one trial.
    """

    start: float = 50.0
    ceiling: float = MOST_RATE
    ceiling_reason: str = f"rates above {MOST_RATE:,.0f} requests/s are not made"
    precision: float = 0.05
    validations: int = 4
    least_seconds: float = 5.0
    most_seconds: float = 60.0


async def find_highest_rate(measure: Measure, slo: Slo, *, target: str, seed: int, limits: Limits) -> SearchResult:
    """The interval in which the highest rate lies that meets ``slo``; ``seed`` fixes the arrivals of all trials.

    A run that is not valid is repeated once; then its rate bounds the search, and never counts as not met.

    Raises:
        BadSpec: ``slo`` wants a throughput, which low rates cannot have.
    """
    if any(condition.metric == "throughput" for condition in slo.conditions):
        raise BadSpec(f"SLO '{slo.text}': a search finds the throughput itself, its SLO limits times and errors")
    search = _Search(measure, slo, seed, limits)
    try:
        await search.run()
    except SearchStopped as stop:
        search.stop(str(stop))
    return SearchResult(
        target=target,
        slo=slo.text,
        low=search.low,
        high=search.high.rate if search.high.broken else None,
        reason=search.high.reason,
        trials=tuple(search.trials),
    )


@dataclass(slots=True, frozen=True)
class _Bound:
    """A rate that does not do; ``broken``: because of the SLO."""

    rate: float
    broken: bool
    reason: str


class _Search:
    """The bracket so far: ``low`` is 0 while no rate has met the SLO, ``high`` the ceiling while none has failed."""

    def __init__(self, measure: Measure, slo: Slo, seed: int, limits: Limits) -> None:
        self._measure = measure
        self._limits = limits
        self._durations = Durations(slo=slo, least=limits.least_seconds, most=limits.most_seconds)
        self._lowest = min(self._durations.lowest_rate, limits.ceiling)
        self._ceiling = _Bound(limits.ceiling, broken=False, reason=limits.ceiling_reason)
        self._step = 1 + limits.precision / 2
        self._seeds = _fresh_seeds(seed)
        self._contradictions = 0
        self._validated = 0.0  # the highest rate at which all validations met the SLO
        self.low = 0.0
        self.high = self._ceiling
        self.trials: list[Trial] = []

    async def run(self) -> None:
        """Narrow the bracket down until both of its ends hold."""
        await self._rise(max(self._limits.start, self._lowest), 2)
        await self._fall()
        while True:
            await self._bisect()
            await self._validate_low()
            if await self._validate_high():
                return
            await self._rise(self.low * self._step, self._step)

    def stop(self, reason: str) -> None:
        """End before both ends hold."""
        if self.low > self._validated:
            reason += f"; {self.low:,.4g} requests/s met the SLO, but not in every validation"
        self.low = self._validated
        self.high = replace(self.high, reason=reason)

    async def _rise(self, rate: float, growth: float) -> None:
        """Raise the rate, by more each time up to doubling it, until it does not do."""
        while self.low < self._limits.ceiling:
            await self._narrow(min(rate, self._limits.ceiling), "double")
            if self.high is not self._ceiling:
                return
            rate *= growth
            growth = min(growth**2, 2)

    async def _fall(self) -> None:
        """Halve the rate until it does."""
        while not self.low and self.high.rate > self._lowest:
            await self._narrow(max(self.high.rate / 2, self._lowest), "halve")

    async def _bisect(self) -> None:
        while self.low and self.high.rate > self.low * self._step * (1 + 1e-9):  # steps of just that much are made
            await self._narrow(math.sqrt(self.low * self.high.rate), "bisect")

    async def _narrow(self, rate: float, stage: Stage) -> None:
        bound = await self._try(rate, stage)
        if bound is None:
            self.low = rate
        else:
            self.high = bound

    async def _validate_low(self) -> None:
        """Step down until every validation meets the SLO."""
        while self.low > self._validated:
            for _ in range(self._limits.validations):
                bound = await self._try(self.low, "validate")
                if bound is not None:
                    break
            else:
                self._validated = self.low
                return
            self.high = bound
            if not bound.broken:
                raise SearchStopped(bound.reason)
            below = max(self.low / self._step, self._lowest) if self.low > self._lowest else 0.0
            self.low = max(below, self._validated)
            self._contradicted()

    async def _validate_high(self) -> bool:
        """Step up until no validation meets the SLO. False: all did, and the search has to go on above."""
        rate = self.high.rate
        while self.high.broken and rate <= self._limits.ceiling:
            verdicts: list[_Bound | None] = []
            while len(verdicts) < self._limits.validations and (not any(verdicts) or all(verdicts)):
                verdicts.append(await self._try(rate, "validate"))
            bounds = [bound for bound in verdicts if bound is not None]
            if not bounds:
                self.low = self._validated = rate
                self.high = self._ceiling
                self._contradicted()
                return False
            self.high = min(bounds, key=lambda bound: bound.broken)
            if len(bounds) == len(verdicts):
                return True
            rate *= self._step
            self._contradicted()
        if self.high.broken:
            self.high = self._ceiling
        return True

    async def _try(self, rate: float, stage: Stage) -> _Bound | None:
        """Measure at ``rate``, once more if that is not valid. None: the SLO was met."""
        trial = await self._measured(rate, stage)
        if trial.met is None:
            trial = await self._measured(rate, stage)
        if trial.met:
            return None
        return _Bound(rate, broken=trial.met is not None, reason=f"at {rate:,.4g} requests/s: {trial.reason}")

    async def _measured(self, rate: float, stage: Stage) -> Trial:
        seconds, seed = self._durations.seconds(rate, self._distance(rate, stage)), next(self._seeds)
        attempt = await self._measure(rate, seconds, seed)
        trial = Trial(
            rate=rate,
            stage=stage,
            met=not attempt.violations if attempt.valid else None,
            reason="; ".join(attempt.violations) if attempt.valid else attempt.reason,
            seconds=seconds,
            arrivals_seed=seed,
            measured=attempt.measured,
        )
        self.trials.append(trial)
        return trial

    def _distance(self, rate: float, stage: Stage) -> float:
        """How far from ``rate`` the next one is, as a share: what a trial must tell apart."""
        match stage:
            case "double" | "halve":
                distance = 1.0
            case "bisect":
                distance = max(rate / self.low - 1, self._limits.precision)
            case "validate":
                distance = self._limits.precision * _VALIDATION_SHARE
        return distance * _CONTRADICTION_SHARE**self._contradictions

    def _contradicted(self) -> None:
        """Count a verdict that was not confirmed.

        Raises:
            SearchStopped: that has happened too often.
        """
        self._contradictions += 1
        if self._contradictions > _MOST_CONTRADICTIONS:
            raise SearchStopped(f"not steady: {self._contradictions} verdicts were contradicted by a repetition")


def _fresh_seeds(seed: int) -> Iterator[int]:
    """Seeds of arrivals, none of them twice."""
    random = np.random.default_rng(seed)
    while True:
        yield int(random.integers(1 << 32))
