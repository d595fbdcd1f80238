"""The settings of how requests are shared among the backends of a model, and of when a backend gets none."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from gateway.config.values import Section


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the first pause, {value[0]:g} s, is longer than the longest, {value[1]:g} s")
    return value


class BreakerConfig(Section):
    """When a backend's circuit opens: ``failures`` in a row, or fewer successes than the share ``success_rate``.

    The share is that of the attempts in the last ``window`` seconds, once they are ``min_requests``; 0 leaves it out.
    ``backoff`` holds the seconds until the backend is tried again: the first time, and the most after many times.
    """

    failures: PositiveInt = 5
    success_rate: Annotated[float, Field(ge=0, le=1)] = 0.8
    window: PositiveFloat = 30.0
    min_requests: PositiveInt = 5
    backoff: Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(_ascending)] = (1.0, 60.0)


class BalancingConfig(Section):
    """``policy`` decides among the backends of a model that are well.

    ``peak_ewma`` takes the one that is likely to answer soonest, ``least_loaded`` the one with the fewest requests in
    flight. The share of a backend that was away grows for ``slow_start`` seconds; 0 gives it all at once.
    """

    policy: Literal["peak_ewma", "least_loaded"] = "peak_ewma"
    slow_start: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    breaker: BreakerConfig = BreakerConfig()
