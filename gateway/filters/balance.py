"""Choose the backend: the one the client names, else the healthy one with the fewest requests in flight.

A backend that cannot carry the request is passed over while another one can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from gateway.core.backend import Backend, Endpoint
from gateway.core.errors import BackendNotFound, GatewayError, NoHealthyBackend, PayloadTooLarge, Unsupported
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Service


@dataclass(slots=True, frozen=True)
class Candidate:
    """One endpoint of the model: where it is, what its backend can carry, and the way there."""

    endpoint: Endpoint
    backend: Backend
    service: Service


class Balance:
    """Chooses among the endpoints of one version of a model; equals take turns."""

    __slots__ = ("_candidates", "_model", "_turn")

    def __init__(self, model: str, candidates: Sequence[Candidate]) -> None:
        self._model = model
        self._candidates = tuple(candidates)
        self._turn = count()

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context = request.context
        chosen = self._named(request) if context.backend else self._least_loaded(request)
        context.served_by = chosen.endpoint.backend
        # Backends are asked for exactly the version whose signature the request was held against.
        request.version = chosen.endpoint.version
        return await chosen.service(request)

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

    def _least_loaded(self, request: InferRequest) -> Candidate:
        tried = request.context.tried
        left = [
            candidate
            for candidate in self._candidates
            if (end := candidate.endpoint).healthy and not end.refusal and end.backend not in tried
        ]
        while left:
            best = self._best(left)
            if _refusal(best, request) is None:
                return best
            left.remove(best)
        raise self._nobody(request)

    def _best(self, candidates: Sequence[Candidate]) -> Candidate:
        # A suspect is better than nobody.
        trusted = [each for each in candidates if not each.endpoint.suspect] or candidates
        start = next(self._turn) % len(trusted)
        rotated = [*trusted[start:], *trusted[:start]]
        return min(rotated, key=lambda each: each.endpoint.load.in_flight)

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
