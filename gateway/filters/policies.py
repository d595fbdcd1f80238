"""How a backend is chosen among those of a model that are well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Protocol

from gateway.core.backend import Backend, Endpoint
from gateway.core.messages import InferRequest
from gateway.core.routing import ROUTE_KEY
from gateway.core.service import Service
from gateway.core.split import Split

_LEAST_SHARE = 0.1  # of a backend that has just come back

# What a request costs on an endpoint, at a time by the endpoint's clock.
Cost = Callable[[Endpoint, float], float]


@dataclass(slots=True, frozen=True)
class Candidate:
    """One endpoint of the model: where it is, what its backend can carry, and the way there."""

    endpoint: Endpoint
    backend: Backend
    service: Service


class Policy(Protocol):
    """Chooses for one version of a model.

    Attributes:
        explores: every backend gets requests sooner or later, so that one may be risked on a backend that was not well.
    """

    explores: bool

    def choose(self, candidates: Sequence[Candidate], request: InferRequest, now: float) -> Candidate:
        """One of ``candidates``, of which there is at least one; ``now`` is by the clock of their endpoints."""


def peak_ewma(endpoint: Endpoint, now: float) -> float:
    """The latency that is to be expected, once for each request in flight and for this one."""
    return endpoint.latency.estimate(now) * (endpoint.load.in_flight + 1)


def least_loaded(endpoint: Endpoint, _: float) -> float:
    """The requests in flight."""
    return endpoint.load.in_flight + 1


class Cheapest:
    """The one with the lowest ``cost``; equals take turns.

    The share of a backend that came back grows for ``slow_start`` seconds. All are compared: they are few, and drawing
    two would leave to the middle one of three a third of the requests, even where the fastest has room for all.
    """

    explores = True

    __slots__ = ("_cost_of", "_slow_start", "_turn")

    def __init__(self, cost: Cost, slow_start: float) -> None:
        self._cost_of = cost
        self._slow_start = slow_start
        self._turn = count()

    def choose(self, candidates: Sequence[Candidate], _: InferRequest, now: float) -> Candidate:
        number = len(candidates)
        if number == 1:
            return candidates[0]
        first = next(self._turn) % number
        best = candidates[first]
        lowest = self._cost(best.endpoint, now)
        for place in range(first + 1 - number, first):  # the others, from the next one on
            other = candidates[place]
            cost = self._cost(other.endpoint, now)
            if cost < lowest:
                best, lowest = other, cost
        return best

    def _cost(self, endpoint: Endpoint, now: float) -> float:
        cost = self._cost_of(endpoint, now)
        back_for = now - endpoint.came_back_at
        return cost if back_for >= self._slow_start else cost / max(back_for / self._slow_start, _LEAST_SHARE)


class FastestWithinSLO:
    """The cheapest by peak EWMA of those whose expected latency is within ``slo`` seconds; without one, of all.

    A fast backend keeps the requests as long as it meets the objective, however many it has: they go to slower ones
    when it does not, and not already when its cost is that of the slower ones.
    """

    explores = True

    __slots__ = ("_cheapest", "_slo")

    def __init__(self, slo: float, slow_start: float) -> None:
        self._slo = slo
        self._cheapest = Cheapest(peak_ewma, slow_start)

    def choose(self, candidates: Sequence[Candidate], request: InferRequest, now: float) -> Candidate:
        within = [each for each in candidates if each.endpoint.latency.estimate(now) <= self._slo]
        return self._cheapest.choose(within or candidates, request, now)


class Fixed:
    """The first of ``order`` that is there; backends that are not in it come last."""

    explores = False

    __slots__ = ("_places",)

    def __init__(self, order: Sequence[str]) -> None:
        self._places = {backend: place for place, backend in enumerate(order)}

    def choose(self, candidates: Sequence[Candidate], _: InferRequest, __: float) -> Candidate:
        places = self._places
        return min(candidates, key=lambda each: places.get(each.endpoint.backend, len(places)))


class Weighted:
    """By the shares of ``split``, whose names are backends; the share of one that is not there goes to the others."""

    explores = False

    __slots__ = ("_split",)

    def __init__(self, split: Split) -> None:
        self._split = split

    def choose(self, candidates: Sequence[Candidate], request: InferRequest, _: float) -> Candidate:
        by_name = {each.endpoint.backend: each for each in candidates}
        return by_name[self._split.choose([*by_name], request.context.header(ROUTE_KEY) or "")]
