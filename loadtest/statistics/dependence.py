"""Whether samples depend on those before them.

Requests that wait in one queue share its luck: their times are no independent samples, and intervals that take them
for such are too narrow. Two tests on the ranks of the samples (so that no heavy tail decides), each at the 1 % level:

- *Ljung-Box* over the lags 1 to 10: dependence on the requests just before;
- *Kruskal-Wallis* over 32 consecutive blocks: slow wandering that neighbours hardly show.

Independent samples are so taken for dependent in 2 % of cases, which costs little: the methods for dependent samples
hold for independent ones too. With a million samples the slightest dependence is found, and treated as such.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from loadtest.statistics.quantiles import Times

_LEVEL = 0.01
_LAGS = 10
_BLOCKS = 32


def dependent(times: Times) -> bool:
    """Whether ``times``, in time order, are not independent samples of one distribution."""
    count = len(times)
    if count < 2 * _LAGS:
        return False  # too few to show it
    ranks = centred_ranks(times)
    variance = float(ranks @ ranks) / count
    if variance == 0:
        return False
    return _ljung_box(ranks, variance) < _LEVEL or _kruskal_wallis(ranks, variance) < _LEVEL


def centred_ranks(times: Times) -> npt.NDArray[np.float64]:
    """Ranks of ``times`` as shares of their count, less one half; equal values have equal ones."""
    order = np.argsort(times)
    ordered = times[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ends = np.append(starts[1:], len(times))
    ranks = np.empty(len(times))
    ranks[order] = np.repeat((starts + ends - 1) / 2, ends - starts)
    return (ranks + 0.5) / len(times) - 0.5


def _ljung_box(ranks: npt.NDArray[np.float64], variance: float) -> float:
    """Its p-value: correlations at small lags are independent and normal when the samples are independent."""
    count = len(ranks)
    lags = np.arange(1, _LAGS + 1)
    correlations = np.array([ranks[lag:] @ ranks[:-lag] for lag in lags]) / (count * variance)
    return float(special.chdtrc(_LAGS, count * (count + 2) * np.sum(correlations**2 / (count - lags))))


def _kruskal_wallis(ranks: npt.NDArray[np.float64], variance: float) -> float:
    """Its p-value: the mean ranks of blocks differ as much as chance has it when the samples are independent."""
    blocks = min(_BLOCKS, len(ranks) // 5)
    edges = np.linspace(0, len(ranks), blocks + 1).astype(int)
    means = np.add.reduceat(ranks, edges[:-1]) / np.diff(edges)
    return float(special.chdtrc(blocks - 1, np.sum(np.diff(edges) * means**2) / variance))
