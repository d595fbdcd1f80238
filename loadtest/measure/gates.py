"""Can the numbers be trusted? Conditions of validity, each with a sentence that says what was measured.

A *gate* that fails makes numbers INVALID: they are the generator's, or of something else than was asked for. What only
blurs them is a *warning*. The line depends on the load:

- In a closed loop a slow generator asks less, and on a machine that it shares with the servers bursts of answers hold
  up its event loop: lag there is a warning, and a gate in open loops, where requests must be sent and answers stamped
  on time. That the generator had no core left is a gate in both: then it is what was measured.
- Where targets take turns, a drift of the machine and what its host takes away hit all of them alike and leave their
  ratios right; the report says so. In a run of one target they are gates.
- Loads that change by design (steps, ramps, traces) cannot be steady, and MLPerf's offline sends as answers come.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from loadtest.load.loads import AnyLoad, Offline, OpenLoop, Ramp, Steps, Trace
from loadtest.measure.summary import Gate
from loadtest.units import milliseconds, percent

# Lateness that the clock and the kernel's scheduler cannot avoid, and what disappears beside the service time.
LEAST_LAG = 0.001
LAG_SHARE = 0.1
# Of the requests that were due, so many may be missing: a server that falls further behind has another load than asked.
SHORTFALL = 0.01
# The numbers of requests under way at the start and the end of a window differ by chance: so many deviations are no
# shortfall. Independent requests under way are Poisson distributed.
_EDGE_DEVIATIONS = 3.0
# Above it, requests queue within the generator, and its own time shows as the server's.
GENERATOR_CPU = 0.9
# Share of the requests that opens connections anew; more, and connecting is what was measured.
CHURN = 0.01
# Of the ceiling against a server that does nothing: nearer to it, the generator's own queue shows.
CEILING_SHARE = 0.7
# The stationarity test calls one steady server in twenty unsteady: enough to mention, not to throw a run away, unless
# the warm-up never ended either.
UNSTEADY_P = 0.001
# Above this share of the machine's CPU time, what else ran on the host is in the numbers.
STOLEN_CPU = 0.05
ERROR_LIMIT = 0.01


@dataclass(slots=True, frozen=True, kw_only=True)
class Facts:
    """What is judged, of one target under one load; times in seconds.

    Attributes:
        interleaved: whether other targets were measured in turns with this one, so that a drift of the machine hits
            all of them alike.
        blocks: number of blocks.
        seconds: length of all windows together.
        answers: good answers that were due in the windows.
        failures: failed requests that were due in the windows.
        offered: requests that were due in the windows.
        throughput: good answers a second.
        service_mean, service_median, service_p99: from sent to done; None without answers.
        send_lag_median, send_lag_p99: how late requests were sent.
        loop_lag_p99: that of the event loop, in the worst block.
        generator_cpu: the generator's share of one core, in the busiest block.
        connections_opened: in all windows together.
        most_in_flight: sum over the blocks of the most requests that were under way at once.
        ceiling: most requests a second the generator can make over this transport; None when it was not calibrated.
        forced: whether the user insists on a rate near the ceiling (``--force``).
        steady_p: p-value of the stationarity test; None when there are too few times for it.
        unsteady: what it found, in a sentence; empty when the times are steady.
        settled: whether the warm-up came to an end.
        stolen_cpu: share of the machine's CPU time that its host gave to others.
        void: why blocks must not be used, one reason each.
        unfinished: whether the measurement was stopped early: what was under way then is missing.
        error_limit: largest share of failed requests.
    """

    load: AnyLoad
    interleaved: bool
    blocks: int
    seconds: float
    answers: int
    failures: int
    offered: int
    throughput: float
    service_mean: float | None
    service_median: float | None
    service_p99: float | None
    send_lag_median: float
    send_lag_p99: float
    loop_lag_p99: float
    generator_cpu: float
    connections_opened: int
    most_in_flight: int
    ceiling: float | None = None
    forced: bool = False
    steady_p: float | None = None
    unsteady: str = ""
    settled: bool = True
    stolen_cpu: float = 0.0
    void: tuple[str, ...] = ()
    unfinished: bool = False
    error_limit: float = ERROR_LIMIT

    @property
    def error_share(self) -> float:
        """Failed share of all requests."""
        return self.failures / max(self.answers + self.failures, 1)

    @property
    def lag_limit(self) -> float:
        """Lateness (s) of one request in a hundred that does no harm: it disappears beside the slowest answers."""
        return max(LEAST_LAG, LAG_SHARE * (self.service_p99 or 0.0))

    @property
    def median_lag_limit(self) -> float:
        """The same of half of the requests."""
        return max(LEAST_LAG, LAG_SHARE * (self.service_median or 0.0))


def gates_of(facts: Facts) -> tuple[Gate, ...]:
    """The conditions that apply to the load; one that failed makes the numbers INVALID."""
    return tuple(gate for condition in _CONDITIONS for gate in condition(facts))


def warnings_of(facts: Facts) -> tuple[str, ...]:
    """Sentences about the generator that lessen the numbers' worth without making them wrong."""
    sentences = []
    if not _is_scheduled(facts.load) and facts.loop_lag_p99 > facts.lag_limit:
        sentences.append(f"{_loop_lag_sentence(facts)}: times may be too high by as much")
    near = facts.ceiling and _rate(facts) > CEILING_SHARE * facts.ceiling
    if near and (facts.forced or not _is_scheduled(facts.load)):
        sentences.append(_ceiling_sentence(facts))
    return tuple(sentences)


def _is_scheduled(load: AnyLoad) -> bool:
    """Whether a schedule says when each request is sent."""
    return isinstance(load, OpenLoop) and not isinstance(load, Offline)


def _measured(facts: Facts) -> Iterator[Gate]:
    yield Gate("measured", facts.answers > 0, f"{facts.answers:,} good answers were due in the windows")


def _void(facts: Facts) -> Iterator[Gate]:
    for reason in facts.void:
        yield Gate("void", passed=False, reason=reason)


def _errors(facts: Facts) -> Iterator[Gate]:
    yield Gate(
        "errors",
        facts.error_share <= facts.error_limit,
        f"{percent(facts.error_share)} of the requests failed; at most {percent(facts.error_limit)} may",
    )


def _send_lag(facts: Facts) -> Iterator[Gate]:
    if not isinstance(facts.load, Offline):
        yield Gate(
            "send lag",
            facts.send_lag_p99 <= facts.lag_limit and facts.send_lag_median <= facts.median_lag_limit,
            _send_lag_sentence(facts),
        )


def _loop_lag(facts: Facts) -> Iterator[Gate]:
    if _is_scheduled(facts.load):
        yield Gate("event-loop lag", facts.loop_lag_p99 <= facts.lag_limit, _loop_lag_sentence(facts))


def _achieved(facts: Facts) -> Iterator[Gate]:
    if not _is_scheduled(facts.load) or not facts.offered or facts.unfinished:
        return
    missing = facts.offered - facts.failures - facts.throughput * facts.seconds
    under_way = facts.offered / max(facts.seconds, 1e-9) * (facts.service_mean or 0.0)
    by_chance = _EDGE_DEVIATIONS * math.sqrt(2 * facts.blocks * under_way)
    yield Gate(
        "achieved rate",
        missing <= SHORTFALL * facts.offered + by_chance,
        f"{percent(max(missing, 0.0) / facts.offered)} fewer requests a second were answered than were due; at most "
        f"{percent(SHORTFALL + by_chance / facts.offered)} may be missing",
    )


def _generator_cpu(facts: Facts) -> Iterator[Gate]:
    yield Gate(
        "generator CPU",
        facts.generator_cpu <= GENERATOR_CPU,
        f"the load generator used {percent(facts.generator_cpu)} of one core; above {percent(GENERATOR_CPU)} "
        "its own time shows as the server's",
    )


def _churn(facts: Facts) -> Iterator[Gate]:
    # A pool may grow to the most requests that were under way at once.
    allowed = facts.most_in_flight + int(CHURN * (facts.answers + facts.failures))
    yield Gate(
        "connection churn",
        facts.connections_opened <= allowed,
        f"{facts.connections_opened:,} connections were opened while the clock ran; at most {allowed:,} may be, "
        "or connecting is what was measured",
    )


def _ceiling(facts: Facts) -> Iterator[Gate]:
    if facts.ceiling and _is_scheduled(facts.load) and not facts.forced:
        yield Gate("ceiling", _rate(facts) <= CEILING_SHARE * facts.ceiling, _ceiling_sentence(facts))


def _steadiness(facts: Facts) -> Iterator[Gate]:
    if facts.steady_p is None or facts.interleaved or isinstance(facts.load, Steps | Ramp | Trace | Offline):
        return
    drifts = bool(facts.unsteady) and (facts.steady_p <= UNSTEADY_P or not facts.settled)
    unsettled = "" if facts.settled else "; the warm-up never ended"
    yield Gate("steadiness", not drifts, f"{facts.unsteady or 'the times stayed the same'}{unsettled}")


def _stolen(facts: Facts) -> Iterator[Gate]:
    if not facts.interleaved:
        yield Gate(
            "stolen CPU",
            facts.stolen_cpu <= STOLEN_CPU,
            f"other guests of the host took {percent(facts.stolen_cpu)} of this machine's CPU time; at most "
            f"{percent(STOLEN_CPU)} may go",
        )


_CONDITIONS: tuple[Callable[[Facts], Iterator[Gate]], ...] = (
    _measured,
    _void,
    _errors,
    _send_lag,
    _loop_lag,
    _achieved,
    _generator_cpu,
    _churn,
    _ceiling,
    _steadiness,
    _stolen,
)


def _rate(facts: Facts) -> float:
    """Requests a second that the generator had to make."""
    if not _is_scheduled(facts.load):
        return facts.throughput
    return facts.load.peak_rate or facts.offered / max(facts.seconds, 1e-9)


def _send_lag_sentence(facts: Facts) -> str:
    if facts.send_lag_median > facts.median_lag_limit:
        limit = milliseconds(facts.median_lag_limit)
        return f"requests were sent {milliseconds(facts.send_lag_median)} ms late (p50); at most {limit} ms is allowed"
    return f"requests were sent {milliseconds(facts.send_lag_p99)} ms late (p99); {_lag_limit_sentence(facts)}"


def _lag_limit_sentence(facts: Facts) -> str:
    return f"at most {milliseconds(facts.lag_limit)} ms is allowed"


def _loop_lag_sentence(facts: Facts) -> str:
    lag = f"{milliseconds(facts.loop_lag_p99)} ms"
    return f"the load generator's event loop ran {lag} late (p99); {_lag_limit_sentence(facts)}"


def _ceiling_sentence(facts: Facts) -> str:
    return (
        f"{_rate(facts):,.0f} requests/s are {percent(_rate(facts) / (facts.ceiling or 1.0))} of the "
        f"{facts.ceiling or 0.0:,.0f} that the load generator can make; above {percent(CEILING_SHARE)} its own "
        "queue shows"
    )
