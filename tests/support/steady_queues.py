"""Steady queues with one server, and what queueing theory says of them. The mean service takes 1."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import numpy.typing as npt

from support.queues import waits

FloatArray = npt.NDArray[np.float64]

_LEAD_IN = 5000  # customers before the first that is looked at: many times the queue's memory up to 90 % load


def mm1_responses(random: np.random.Generator, count: int, load: float) -> FloatArray:
    """Response times of an M/M/1 server."""
    services = random.exponential(size=count + _LEAD_IN)
    return (_waits(random, services, load) + services)[_LEAD_IN:]


def md1_waits(random: np.random.Generator, count: int, load: float) -> FloatArray:
    """Waits at an M/D/1 server."""
    return _waits(random, np.ones(count + _LEAD_IN), load)[_LEAD_IN:]


def mm1_response_quantile(load: float, share: float) -> float:
    """Response times are exponential with mean 1 / (1 - load)."""
    return -math.log(1 - share) / (1 - load)


def md1_mean_wait(load: float) -> float:
    """Pollaczek and Khinchin."""
    return load / (2 * (1 - load))


def md1_wait_quantile(load: float, share: float) -> float:
    """Erlang's series for the distribution of the wait, solved by bisection."""
    low, high = 0.0, 100.0
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if _md1_share_below(middle, load) < share else (low, middle)
    return high


def _waits(random: np.random.Generator, services: FloatArray, load: float) -> FloatArray:
    """The waits of customers that arrive by a Poisson process and need ``services``."""
    return waits(random.exponential(1 / load, size=len(services))[1:], services)


def _md1_share_below(wait: float, load: float) -> Decimal:
    with localcontext(prec=100):  # huge terms of alternating sign
        exact = Decimal(load)
        terms = []
        for number in range(math.floor(wait) + 1):
            step = exact * (number - Decimal(wait))
            terms.append((step**number if number else Decimal(1)) / math.factorial(number) * (-step).exp())
        return (1 - exact) * sum(terms, Decimal(0))
