"""Service level objectives such as ``p99<50ms,errors<0.1%``: what a search looks for and what ``--fail-on`` checks."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from loadtest.errors import BadSpec
from loadtest.measure.summary import SHARES, Row
from loadtest.statistics.quantiles import least_samples, percentile

FORMS = (
    "conditions with commas between them: p99<50ms (any percentile), mean<10ms, max<1s, each also of 'service.' or"
    " 'first_byte.', errors<0.1%, throughput>500"
)

# A metric's value in seconds, as a share or a second; None where there are too few samples to say.
Metrics = Callable[[str], float | None]

_CONDITION = re.compile(
    r"(?:(?P<of>response|service|first_byte)\.)?(?P<name>p(?P<digits>\d+(?:\.\d+)?)|mean|max|errors|throughput|rate)"
    r"\s*(?P<operator><=|>=|<|>)\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ns|us|µs|μs|ms|s|%|/s|)",
    re.ASCII,
)
_OPERATORS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
# Units as powers of ten: "5e-6" is read as the float nearest to 5 µs, which 5 × 1e-6 is not.
_TIMES = {"ns": -9, "us": -6, "µs": -6, "μs": -6, "ms": -3, "s": 0}
_SHOWN_TIMES = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))
_SHARES = {"%": -2}
_RATES = {"": 0, "/s": 0}
# The metrics that are no times.
SHARES_AND_RATES = ("errors", "throughput")


@dataclass(slots=True, frozen=True)
class Condition:
    """One condition that must hold.

    Attributes:
        metric: ``p99``, ``mean`` or ``max`` of the response time, ``service.p99`` and so on of another, ``errors`` or
            ``throughput``.
        operator: ``<``, ``<=``, ``>`` or ``>=``.
        limit: in seconds, as a share, or a second.
        text: as it was written.
    """

    metric: str
    operator: str
    limit: float
    text: str

    @property
    def share(self) -> float | None:
        """The percentile as a share; None for another metric."""
        statistic = _of_and_statistic(self.metric)[1]
        return _share(statistic) if statistic[0] == "p" else None

    @property
    def least_samples(self) -> int:
        """Requests below which a verdict says nothing."""
        if self.metric == "errors" and self.limit:
            return math.ceil(1 / self.limit)
        return least_samples(self.share) if self.share is not None else 1

    @property
    def is_time(self) -> bool:
        """Whether it limits a time."""
        return self.metric not in SHARES_AND_RATES

    def violation(self, metrics: Metrics) -> str:
        """Why it does not hold, in a sentence; empty when it does. What is not known does not hold."""
        value = metrics(self.metric)
        if value is not None and _OPERATORS[self.operator](value, self.limit):
            return ""
        if value is not None:
            return f"{self.text}: {self.metric} was {_shown(value, self.metric)}"
        if self.share is not None:
            return f"{self.text}: {self.metric} is not known, it needs {least_samples(self.share):,} good answers"
        return f"{self.text}: {self.metric} is not known, there was no good answer"


@dataclass(slots=True, frozen=True)
class Slo:
    """Conditions of which all must hold."""

    conditions: tuple[Condition, ...]

    @property
    def text(self) -> str:
        """What ``parse_slo`` reads."""
        return ",".join(condition.text for condition in self.conditions)

    def check(self, metrics: Metrics) -> tuple[str, ...]:
        """A sentence for each condition that does not hold, or is not known to."""
        return tuple(filter(None, (condition.violation(metrics) for condition in self.conditions)))

    @property
    def least_samples(self) -> int:
        """Requests that a verdict takes: LoadGen's number for percentiles, and one failure within a limit on errors."""
        return max(condition.least_samples for condition in self.conditions)

    @property
    def longest_time(self) -> float:
        """The greatest limit on a time, in seconds; 0 without one."""
        return max((condition.limit for condition in self.conditions if condition.is_time), default=0.0)


def parse_slo(text: str) -> Slo:
    """Read an SLO.

    Raises:
        BadSpec: it cannot be read; the sentence quotes the condition.
    """
    return Slo(tuple(_condition(part.strip(), text) for part in text.split(",")))


def metrics_of(row: Row) -> Metrics:
    """What was measured of one target under one load; of response times every percentile, exactly."""

    def metric(name: str) -> float | None:
        if name == "errors":
            return row.error_share if row.requests or row.errors else None
        if name == "throughput":
            return row.throughput.value if row.throughput else None
        kind, statistic = _of_and_statistic(name)
        times = {"response": row.response, "service": row.service, "first_byte": row.first_byte}[kind]
        if statistic == "mean":
            return times.mean.value if times.mean else None
        if statistic == "max":
            return float(row.response_times[-1]) if len(row.response_times) else None
        share = _share(statistic)
        estimate = times.percentiles.get(share)
        if estimate is not None:
            return estimate.value if estimate.enough else None
        enough = len(row.response_times) >= least_samples(share)
        return percentile(row.response_times, share) if enough else None

    return metric


def _condition(text: str, slo: str) -> Condition:
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise BadSpec(f"SLO '{slo}': '{text}' cannot be read; an SLO is {FORMS}")
    name = "throughput" if found["name"] == "rate" else found["name"]
    metric = f"{found['of']}.{name}" if found["of"] not in (None, "response") else name
    fault = _fault(metric, found)
    if fault:
        raise BadSpec(f"SLO '{slo}': '{text}': {fault}")
    return Condition(metric, found["operator"], float(f"{found['number']}e{_units(metric)[found['unit']]}"), text)


def _fault(metric: str, found: re.Match[str]) -> str:
    """Why a condition of the right form makes no sense; empty when it does."""
    kind, statistic = _of_and_statistic(metric)
    units, number = _units(metric), float(found["number"])
    if found["of"] and statistic in ("errors", "throughput"):
        return f"there is only one {statistic}"
    if found["unit"] not in units:
        known = ", ".join(sorted(unit for unit in units if unit and unit.isascii()))
        return f"a limit of {statistic} has a unit ({known})"
    if found["operator"].startswith("<") == (metric == "throughput"):
        return f"{metric} is limited from {'below: > or >=' if metric == 'throughput' else 'above: < or <='}"
    if number == 0 and (metric, found["operator"]) != ("errors", "<="):
        return "a limit of 0 is always or never kept"
    if metric == "errors" and number > 100:
        return "a share is at most 100 %"
    if found["digits"] and not 0 < _share(statistic) < 1:
        return "percentiles are above p0 and below p100"
    if kind != "response" and (statistic == "max" or (found["digits"] and _share(statistic) not in SHARES)):
        known = ", ".join(f"p{share * 100:g}" for share in SHARES)
        return f"of the {kind} time only mean and {known} are kept"
    return ""


def _of_and_statistic(metric: str) -> tuple[str, str]:
    for kind in ("service", "first_byte"):
        if metric.startswith(f"{kind}."):
            return kind, metric.removeprefix(f"{kind}.")
    return "response", metric


def _units(metric: str) -> dict[str, int]:
    return {"errors": _SHARES, "throughput": _RATES}.get(metric, _TIMES)


def _share(percentile_name: str) -> float:
    # With the exponent in the text the nearest float comes out, 0.999 of p99.9; a division may miss it.
    return float(f"{percentile_name.removeprefix('p')}e-2")


def _shown(value: float, metric: str) -> str:
    if metric == "errors":
        return f"{value:.3%}"
    if metric == "throughput":
        return f"{value:,.4g}/s"
    unit, factor = next(((unit, factor) for unit, factor in _SHOWN_TIMES if value >= factor), _SHOWN_TIMES[-1])
    return f"{value / factor:.4g} {unit}"
