"""Rows as a run of one target gives them, for what judges them."""

import numpy as np

from loadtest.load.loads import Poisson
from loadtest.measure.summary import Row, Times
from loadtest.results.report import TargetResult
from loadtest.statistics.estimate import Estimate


def times(mean, **percentiles):
    """``times(mean=5.0, p50=4.0)``; a percentile may be a whole Estimate."""
    estimates = {float(f"{name[1:]}e-2"): _estimate(value) for name, value in percentiles.items()}
    return Times(_estimate(mean), estimates)


def _estimate(value):
    return value if isinstance(value, Estimate) else Estimate(value=value)


def make_row(*, response_times=(), problem="", **fields):
    """A row without a single answer, but for what is given."""
    response_times = np.asarray(response_times, dtype=np.float64)
    nothing = Times(None, {})
    defaults = {
        "target": TargetResult(
            name="a", backend="a", server="", via="direct", protocol="HTTP", wire="oip", problem=problem
        ),
        "load": Poisson(rate=100),
        "response": nothing,
        "service": nothing,
        "first_byte": nothing,
        "response_times": response_times,
        "requests": len(response_times),
        "rows": len(response_times),
        "throughput": None,
        "offered": None,
        "errors": {},
        "error_share": 0.0,
        "details": {},
        "send_lag": {},
        "generator_cpu": 0.0,
        "warm_up": 0.0,
        "steady": True,
        "gates": (),
        "server_times": (),
        "problem": problem,
    }
    return Row(**defaults | fields)
