"""Choose the backend: the one the client names, else the healthy one with the fewest requests in flight."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from gateway.core.backend import Endpoint
from gateway.core.errors import BackendNotFound, NoHealthyBackend
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Service


class Balance:
    """Chooses among the endpoints of one model; equals take turns."""

    __slots__ = ("_endpoints", "_model", "_turn")

    def __init__(self, model: str, endpoints: Sequence[tuple[Endpoint, Service]]) -> None:
        self._model = model
        self._endpoints = tuple(endpoints)
        self._turn = count()

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context = request.context
        endpoint, service = self._named(context.backend) if context.backend else self._least_loaded(context.tried)
        context.served_by = endpoint.backend
        return await service(request)

    def _named(self, name: str) -> tuple[Endpoint, Service]:
        for endpoint, service in self._endpoints:
            if endpoint.backend == name:
                # Unhealthy or not, the client asked for it and gets its answer or its error.
                return endpoint, service
        known = ", ".join(endpoint.backend for endpoint, _ in self._endpoints)
        raise BackendNotFound(f"x-gateway-backend: no backend {name!r} serves model {self._model!r}; known: {known}")

    def _least_loaded(self, tried: Sequence[str]) -> tuple[Endpoint, Service]:
        candidates = [pair for pair in self._endpoints if pair[0].healthy and pair[0].backend not in tried]
        if not candidates:
            states = "; ".join(f"{endpoint.backend}: {endpoint.problem or 'tried'}" for endpoint, _ in self._endpoints)
            raise NoHealthyBackend(f"no healthy backend serves model {self._model!r} ({states})")
        # A suspect is better than nobody.
        candidates = [pair for pair in candidates if not pair[0].suspect] or candidates
        start = next(self._turn) % len(candidates)
        rotated = candidates[start:] + candidates[:start]
        return min(rotated, key=lambda pair: pair[0].load.in_flight)
