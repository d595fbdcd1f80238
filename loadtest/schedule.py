"""When the requests of an open loop are due, fixed before the clock starts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from loadtest.clock import NS


def poisson(rate: float, seconds: float, seed: int) -> npt.NDArray[np.int64]:
    """Due times in ns from 0 up to ``seconds`` of a Poisson process of ``rate`` a second; ``seed`` fixes them all."""
    random = np.random.default_rng(seed)
    # Given their number, the arrivals of a Poisson process are uniform over the time.
    count = random.poisson(rate * seconds)
    return np.sort(random.uniform(0, seconds * NS, count)).astype(np.int64)
