"""How many samples at the start are warm-up: found, not guessed.

MSER (White, 1997): of all cuts, leave out so much that the mean of the rest is known best, i.e. that the sum of
squared deviations divided by the square of the number of samples kept is least. It is taken

- of the *ranks* of the samples, so that a single outlier or a heavy tail weighs no more than any sample far up, and
- of *batches* of 5 samples (MSER-5), or larger ones where that would make more than 2,000 of them.

The rule alone cuts a little off any series, sometimes much off a dependent one. So a cut counts only when the mean rank
before it differs from that after it by more than 3.5 standard errors, which come from batch means of what is left, with
the dependence that it has. When the cut that counts leaves less than half of the run, it never settles.

Limits: a start that is no slower or faster than ordinary variation is not found, nor is one of fewer than 5 samples.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from loadtest.statistics.blocks import spread_of_sum
from loadtest.statistics.dependence import centred_ranks
from loadtest.statistics.quantiles import Times

_BATCH = 5
_MOST_BATCHES = 2000
_LEAST_BATCHES = 10  # left by any cut
_STANDARD_ERRORS = 3.5
_LAST_CUT = 0.75  # the few samples after it say too little
_ROUNDING = 1e-13

FloatArray = npt.NDArray[np.float64]


def warm_up_length(times: Times) -> int | None:
    """Samples at the start of ``times`` (in time order) to leave out, at most half of them; None: it never settles.

    Too few samples to tell lose none.
    """
    size = max(_BATCH, math.ceil(len(times) / _MOST_BATCHES))
    batches = len(times) // size
    if batches < _LEAST_BATCHES:
        return 0
    ranks = centred_ranks(times)
    means = ranks[: batches * size].reshape(batches, size).mean(axis=1)
    kept = np.arange(batches, 0, -1)
    sums = np.cumsum(means[::-1])[::-1]
    squares = np.cumsum((means**2)[::-1])[::-1]
    scores = ((squares - sums**2 / kept) / kept**2)[: min(int(batches * _LAST_CUT), batches - _LEAST_BATCHES) + 1]
    cut = int(np.argmax(scores <= scores.min() + _ROUNDING))
    if cut == 0 or not _differs(means[:cut], means[cut:]):
        return 0
    return cut * size if 2 * cut < batches else None


def _differs(before: FloatArray, after: FloatArray) -> bool:
    spread = spread_of_sum(after - after.mean(), [after])
    variance = float(np.var(after)) if spread is None else spread.variance / len(after)
    error = math.sqrt(variance * (1 / len(before) + 1 / len(after)))
    return abs(float(before.mean() - after.mean())) > _STANDARD_ERRORS * error
