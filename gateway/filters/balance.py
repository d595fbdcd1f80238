"""Choose the backend: the one the client names, else the one that the policy takes of those that are well.

A backend that cannot carry the request is passed over while another one can.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from gateway.core.accrual import is_failure
from gateway.core.errors import (
    BackendNotFound,
    GatewayError,
    NoHealthyBackend,
    Overloaded,
    PayloadTooLarge,
    Unsupported,
)
from gateway.core.messages import InferRequest, InferResponse
from gateway.filters.policies import Candidate, Policy


class Balance:
    """Chooses among the endpoints of one version of a model, and keeps their load and latency.

    ``policy`` is for this version alone; ``clock`` is that of the endpoints.
    """

    __slots__ = ("_candidates", "_clock", "_model", "_policy")

    def __init__(
        self,
        model: str,
        candidates: Sequence[Candidate],
        policy: Policy,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._candidates = tuple(candidates)
        self._policy = policy
        self._clock = clock

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
        # The list is what helps, and must not be cut off behind a name that is too long to be one.
        problem = f"no backend {name[:63]!r} serves model {self._model!r}; known: {known}"
        raise BackendNotFound(f"x-gateway-backend: {problem}")

    def _chosen(self, request: InferRequest, now: float) -> Candidate:
        tried = request.context.tried
        left = [
            candidate
            for candidate in self._candidates
            if (end := candidate.endpoint).healthy and not end.refusal and end.backend not in tried
        ]
        if not left:
            left = self._late(tried, now)
        while left:
            best = self._best(left, request, now)
            if _refusal(best, request) is None:
                return best
            left.remove(best)
        raise self._nobody(request)

    def _late(self, tried: Collection[str], now: float) -> list[Candidate]:
        """When nobody is healthy: those that a slow health check speaks against and nothing else.

        When all checks time out at once, it is the machine or the network that is slow: to refuse everything then would
        make an outage of it. Who does not answer requests either is out by its circuit.
        """
        able = [each for each in self._candidates if not each.endpoint.refusal]
        if any(each.endpoint.healthy for each in able):
            return []
        return [
            each
            for each in able
            if (end := each.endpoint).is_late(now) and end.circuit.closed and end.backend not in tried
        ]

    def _best(self, candidates: Sequence[Candidate], request: InferRequest, now: float) -> Candidate:
        trusted = [each for each in candidates if each.endpoint.trusted]
        if len(trusted) == len(candidates):
            return self._policy.choose(trusted, request, now)
        # One request is risked, and not one that has failed already.
        probed = (
            [] if request.context.tried else [each for each in candidates if each.endpoint.circuit.wants_probe(now)]
        )
        if probed and self._policy.explores:
            return probed[0]
        # A suspect is better than nobody, and so is even one whose circuit is open: all of them out would be an outage
        # that the gateway makes.
        trusted = trusted or [each for each in candidates if each.endpoint.circuit.closed]
        if trusted:
            return self._policy.choose([*trusted, *(each for each in probed if each not in trusted)], request, now)
        chosen = self._policy.choose(candidates, request, now)
        chosen.endpoint.circuit.is_needed()
        return chosen

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
