"""Choose the backend: the one the client names, else the one that is likely to answer soonest.

Of two candidates, drawn from those that are healthy and trusted, the one with the lower cost gets the request ("the
power of two choices"); equals take turns. A backend that cannot carry the request is passed over while another one can.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from gateway.core.accrual import is_failure
from gateway.core.backend import Backend, Endpoint
from gateway.core.errors import (
    BackendNotFound,
    GatewayError,
    NoHealthyBackend,
    Overloaded,
    PayloadTooLarge,
    Unsupported,
)
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Service

_LEAST_SHARE = 0.1  # of a backend that has just come back


@dataclass(slots=True, frozen=True)
class Candidate:
    """One endpoint of the model: where it is, what its backend can carry, and the way there."""

    endpoint: Endpoint
    backend: Backend
    service: Service


def _peak_ewma(endpoint: Endpoint, now: float) -> float:
    return endpoint.latency.estimate(now) * (endpoint.load.in_flight + 1)


def _least_loaded(endpoint: Endpoint, _: float) -> float:
    return endpoint.load.in_flight + 1


POLICIES: Mapping[str, Callable[[Endpoint, float], float]] = {
    "peak_ewma": _peak_ewma,
    "least_loaded": _least_loaded,
}


class Balance:
    """Chooses among the endpoints of one version of a model, and keeps their load and latency.

    ``policy`` is a key of ``POLICIES``. The share of a backend that came back grows for ``slow_start`` seconds.
    ``clock`` is that of the endpoints; ``random`` gives numbers from 0 to 1.
    """

    __slots__ = ("_candidates", "_clock", "_cost_of", "_model", "_random", "_slow_start", "_turn")

    def __init__(
        self,
        model: str,
        candidates: Sequence[Candidate],
        *,
        policy: str = "peak_ewma",
        slow_start: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._model = model
        self._candidates = tuple(candidates)
        self._cost_of = POLICIES[policy]
        self._slow_start = slow_start
        self._clock = clock
        self._random = random
        self._turn = count()

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context = request.context
        now = self._clock()
        chosen = self._named(request) if context.backend else self._chosen(request, now)
        endpoint = chosen.endpoint
        context.served_by = endpoint.backend
        # Backends are asked for exactly the version whose signature the request was held against.
        request.version = endpoint.version
        load, latency, circuit = endpoint.load, endpoint.latency, endpoint.circuit
        is_probe = circuit.begin_probe(now)
        load.in_flight += 1
        number = latency.begin(now)
        try:
            response = await chosen.service(request)
        except BaseException as error:
            # One that is overloaded is well, and yet gets less.
            end = latency.failed if is_failure(error) or isinstance(error, Overloaded) else latency.abandoned
            end(number, self._clock())
            raise
        else:
            latency.answered(number, self._clock())
            return response
        finally:
            load.in_flight -= 1
            if is_probe:
                circuit.end_probe()

    def _named(self, request: InferRequest) -> Candidate:
        name = request.context.backend
        for candidate in self._candidates:
            if candidate.endpoint.backend == name:
                # Unhealthy or not, the client asked for it and gets its answer or its error.
                if refusal := _refusal(candidate, request):
                    raise refusal
                return candidate
        known = ", ".join(candidate.endpoint.backend for candidate in self._candidates)
        raise BackendNotFound(f"x-gateway-backend: no backend {name!r} serves model {self._model!r}; known: {known}")

    def _chosen(self, request: InferRequest, now: float) -> Candidate:
        tried = request.context.tried
        left = [
            candidate
            for candidate in self._candidates
            if (end := candidate.endpoint).healthy and not end.refusal and end.backend not in tried
        ]
        while left:
            best = self._best(left, now, may_probe=not tried)
            if _refusal(best, request) is None:
                return best
            left.remove(best)
        raise self._nobody(request)

    def _best(self, candidates: Sequence[Candidate], now: float, *, may_probe: bool) -> Candidate:
        trusted = [each for each in candidates if each.endpoint.trusted]
        if len(trusted) < len(candidates):
            # One request is risked, and not one that has failed already.
            if may_probe and (probed := [each for each in candidates if each.endpoint.circuit.wants_probe(now)]):
                return probed[0]
            # A suspect is better than nobody, and so is even one whose circuit is open: all of them out would be an
            # outage that the gateway makes.
            trusted = trusted or [each for each in candidates if each.endpoint.circuit.closed] or [*candidates]
        return self._cheaper_of_two(trusted, now)

    def _cheaper_of_two(self, candidates: Sequence[Candidate], now: float) -> Candidate:
        number = len(candidates)
        turn = next(self._turn)
        first = candidates[turn % number]
        if number == 1:
            return first
        second = candidates[(turn + 1 + int(self._random() * (number - 1))) % number]
        return second if self._cost(second.endpoint, now) < self._cost(first.endpoint, now) else first

    def _cost(self, endpoint: Endpoint, now: float) -> float:
        cost = self._cost_of(endpoint, now)
        back_for = now - endpoint.came_back_at
        return cost if back_for >= self._slow_start else cost / max(back_for / self._slow_start, _LEAST_SHARE)

    def _nobody(self, request: InferRequest) -> GatewayError:
        """Why no backend takes ``request``: none ever will, or none does now."""
        refusals = [_refusal(candidate, request) for candidate in self._candidates]
        first = next((refusal for refusal in refusals if refusal is not None), None)
        if first is not None and None not in refusals:
            return first
        states = "; ".join(
            f"{candidate.endpoint.backend}: {candidate.endpoint.problem or (refusal and 'cannot carry it') or 'tried'}"
            for candidate, refusal in zip(self._candidates, refusals, strict=True)
        )
        return NoHealthyBackend(f"no healthy backend serves model {self._model!r} ({states})")


def _refusal(candidate: Candidate, request: InferRequest) -> GatewayError | None:
    """Why the candidate's backend cannot carry ``request``."""
    endpoint = candidate.endpoint
    if endpoint.refusal:
        return Unsupported(f"backend {endpoint.backend!r} cannot carry {endpoint.model!r}: {endpoint.refusal}")
    try:
        candidate.backend.capabilities.check(endpoint.backend, request)
    except (Unsupported, PayloadTooLarge) as error:
        return error
    return None
