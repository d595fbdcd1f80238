"""How long one trial of a search takes."""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.slo import Slo

# Ten times LoadGen's least number of samples, and a percentile repeats well enough to tell rates 5 % apart; how far
# apart they have to be to be told goes with the root of the samples.
_SAMPLES, _DISTANCE = 10, 0.05
# Never less than this: a part of the samples may be left out as warm-up, or fail.
_LEAST_SAMPLES = 2


@dataclass(slots=True, frozen=True, kw_only=True)
class Durations:
    """Seconds of measuring that a verdict on ``slo`` takes; ``least`` and ``most`` bound them."""

    slo: Slo
    least: float
    most: float

    def seconds(self, rate: float, distance: float) -> float:
        """Enough to tell ``rate`` from one that is higher by the share ``distance``.

        There must be samples enough for the percentiles. And where the higher rate is more than the server can do,
        its queue grows by that share of the time, and has to be longer than the limit for a good part of the trial.
        """
        samples = max(_SAMPLES * (_DISTANCE / distance) ** 2, _LEAST_SAMPLES) * self.slo.least_samples
        growth = 2 * self.slo.longest_time / distance
        return min(max(samples / rate, growth, self.least), self.most)

    @property
    def lowest_rate(self) -> float:
        """Below it, not even the longest trial has enough answers for the percentiles."""
        return _LEAST_SAMPLES * self.slo.least_samples / self.most
