"""Single-server queues by Lindley's recursion: servers whose response times are known exactly."""

import math

import numpy as np

from loadtest.clock import NS
from loadtest.load.loads import Poisson
from loadtest.load.schedule import with_lead_in
from loadtest.search.attempt import Attempt
from loadtest.statistics.quantiles import least_samples, percentile


def waits(gaps, services):
    """Of requests that come ``gaps`` (one fewer) apart and are served one after the other."""
    # The wait after n of them is the sum of all steps less the least such sum so far.
    sums = np.concatenate(([0.0], np.cumsum(services[:-1] - gaps)))
    return sums - np.minimum.accumulate(sums)


def response_times(arrivals, services):
    """Of requests that arrive at ``arrivals`` (s) and are served one after the other."""
    return waits(np.diff(arrivals), services) + services


class Queue:
    """Measures itself: a search's ``Measure``. ``deterministic``: M/D/1, else M/M/1."""

    def __init__(self, capacity, slo, *, deterministic=False):
        self.capacity = capacity
        self._slo = slo
        self._deterministic = deterministic

    def services(self, count, seed):
        if self._deterministic:
            return np.full(count, 1 / self.capacity)
        return np.random.default_rng(seed).exponential(1 / self.capacity, count)

    async def __call__(self, rate, seconds, arrivals_seed):
        due = with_lead_in(Poisson(rate=rate), NS, seconds, arrivals_seed)
        times = np.sort(response_times(due / NS, self.services(len(due), arrivals_seed + 1))[due >= 0])

        def metric(name):
            share = float(f"{name[1:]}e-2")
            return percentile(times, share) if len(times) >= least_samples(share) else None

        assert len(times) >= self._slo.least_samples, "the search measures too short"
        return Attempt(valid=True, violations=self._slo.check(metric))

    def long_run_percentile(self, rate, share):
        """In closed form (M/M/1), or of two million requests (M/D/1)."""
        if not self._deterministic:
            return -math.log1p(-share) / (self.capacity - rate)
        gaps = np.random.default_rng(1).exponential(1 / rate, 2_000_000)
        return float(np.quantile(response_times(np.cumsum(gaps), self.services(len(gaps), 0)), share))
