"""One trial of a search, as the search sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from loadtest.measure.summary import Row
from loadtest.slo import SHARES_AND_RATES, Metrics, Slo, metrics_of


@dataclass(slots=True, frozen=True, kw_only=True)
class Attempt:
    """What came of measuring at one rate.

    Attributes:
        valid: whether the numbers can be trusted; if not, nothing is known about the server.
        reason: why not.
        violations: a sentence for everything that the SLO wants and was not so; empty: met.
        measured: the SLO's metrics by name.
    """

    valid: bool
    reason: str = ""
    violations: tuple[str, ...] = ()
    measured: dict[str, float] = field(default_factory=dict)


# (rate, seconds, arrivals_seed): measures a Poisson load once.
Measure = Callable[[float, float, int], Awaitable[Attempt]]

# Gates (``loadtest.measure.gates``) that a server fails which is asked for too much: it did not do at this rate.
_SERVERS_GATES = ("measured", "void", "errors", "achieved rate")
# Gates that a late generator fails: it only makes times longer, so an SLO that is met all the same is met.
_LATENESS = ("send lag", "event-loop lag")
# Whether the times stay the same is what the repetitions of the search find out.
_NO_MATTER = "steadiness"


class SearchStopped(Exception):
    """Raised by a ``Measure`` to end the search now, with what is known; ``str`` is the reason (Ctrl-C)."""


def attempt_of(row: Row, slo: Slo) -> Attempt:
    """Judge a run at one rate.

    A server that falls behind, or fails more requests than any valid run may, does not do at this rate whatever the
    times of its good answers are; the latter unless ``slo`` says how many may fail. Where the generator was late, the
    verdict stands if it would be the same without the lateness.

    Raises:
        SearchStopped: the target cannot be measured at all.
    """
    if row.target.problem:
        raise SearchStopped(row.target.problem)
    limits_errors = any(condition.metric == "errors" for condition in slo.conditions)
    failed = [gate for gate in row.gates if not gate.passed and gate.name != _NO_MATTER]
    late = "; ".join(gate.reason for gate in failed if gate.name in _LATENESS)
    fault = "; ".join(gate.reason for gate in failed if gate.name not in (*_SERVERS_GATES, *_LATENESS))
    metrics = metrics_of(row)
    values = {condition.metric: metrics(condition.metric) for condition in slo.conditions}
    measured = {name: value for name, value in values.items() if value is not None}
    if fault:
        return Attempt(valid=False, reason=fault, measured=measured)
    servers = [gate for gate in failed if gate.name in _SERVERS_GATES]
    behind = tuple(gate.reason for gate in servers if gate.name != "errors" or not limits_errors)
    found = (condition.violation(metrics) for condition in slo.conditions if condition.metric in measured)
    missed = tuple(filter(None, found))
    violations = (*missed, *behind)
    if not violations and len(measured) < len(values):
        return Attempt(valid=False, reason="; ".join(slo.check(metrics)), measured=measured)
    if late and missed and not behind and not slo.check(_without(_lateness(row), metrics)):
        return Attempt(valid=False, reason=late, measured=measured)
    return Attempt(valid=True, violations=violations, measured=measured)


def _lateness(row: Row) -> float:
    """By how much (s) the generator's lateness may have made most times longer."""
    blocks = [block for block in row.target.blocks if block.load == row.load.spec]
    return row.send_lag.get(0.99, 0.0) + max((block.health.loop_lag_p99 for block in blocks), default=0.0)


def _without(lateness: float, metrics: Metrics) -> Metrics:
    """``metrics`` whose times are shorter by ``lateness``."""

    def shorter(name: str) -> float | None:
        value = metrics(name)
        return value if value is None or name in SHARES_AND_RATES else value - lateness

    return shorter
