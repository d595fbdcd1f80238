"""The mean service time, split into where it went.

What a server counts is about itself. Through the gateway that is the backend, and ``Server-Timing`` is about the
gateway in front of it: joined, the gateway's wait for the backend is split into what the backend counts and a rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtest.results.block import ServerTimes
from loadtest.server_times import timing

BACKEND_REST = "rest of the backend"
REST = "client and network"
# From the innermost outwards; parts of other names stand before the last, which is what nobody accounts for.
_ORDER = ("queue", "batch", "input", "compute", "output", "server", BACKEND_REST, "backend", "gateway")
_LABELS = {"compute_input": "input", "compute_infer": "compute", "compute_output": "output"}


@dataclass(slots=True, frozen=True)
class Breakdown:
    """A stacked bar.

    Attributes:
        source: who says so, such as ``Server-Timing``.
        parts: label and seconds in stacking order, from the innermost; none is negative, and they add up to the mean
            service time.
    """

    source: str
    parts: tuple[tuple[str, float], ...]


def breakdown(told: Sequence[ServerTimes], mean: float, *, through_gateway: bool) -> Breakdown | None:
    """Where the ``mean`` service time (s) of one target went, by what its servers ``told``; None when nobody says."""
    said = [one for one in told if one.requests]
    header = next((one for one in said if one.source == timing.SOURCE), None)
    counters = next((one for one in said if one.source != timing.SOURCE), None)
    if header and counters and through_gateway:
        return Breakdown(f"{header.source}, {counters.source}", _stacked(_joined(header, counters, mean), mean))
    # A server that says both means itself with both, and the counters tell more.
    one = counters or header
    return Breakdown(one.source, _stacked(_means(one, mean), mean)) if one else None


def _means(times: ServerTimes, mean: float) -> dict[str, float]:
    """Mean seconds of each part; of a sample with known service times its share of the ``mean`` of all of them."""
    scale = mean / times.total if times.total else 1 / times.requests
    parts: dict[str, float] = {}
    for part, seconds in times.seconds.items():
        label = _LABELS.get(part, part)
        parts[label] = parts.get(label, 0.0) + seconds * scale
    return parts


def _joined(header: ServerTimes, counters: ServerTimes, mean: float) -> dict[str, float]:
    """The parts of the gateway, its wait for the backend split into the parts of the backend."""
    parts = _means(header, mean)
    wait = parts.pop("backend", 0.0)
    within = _scaled_down(_means(counters, mean), wait)
    joined = {label: parts.get(label, 0.0) + within.get(label, 0.0) for label in parts | within}
    return joined | {BACKEND_REST: wait - sum(within.values())}


def _stacked(parts: Mapping[str, float], mean: float) -> tuple[tuple[str, float], ...]:
    """``parts`` in order, and what is left of the ``mean``."""
    fitting = _scaled_down(parts, mean)
    ordered = sorted(fitting, key=lambda label: _ORDER.index(label) if label in _ORDER else len(_ORDER))
    stacked = [(label, fitting[label]) for label in ordered if fitting[label] > 0]
    return (*stacked, (REST, max(0.0, mean - sum(fitting.values()))))


def _scaled_down(parts: Mapping[str, float], most: float) -> dict[str, float]:
    """``parts``, smaller where they are more than the whole: counters may hold requests beyond the windows."""
    known = sum(parts.values())
    scale = min(1.0, most / known) if known else 1.0
    return {label: seconds * scale for label, seconds in parts.items()}
