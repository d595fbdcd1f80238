"""Refuse a client that asks more often than it may."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.core.clients import Clients
from gateway.core.errors import RateLimited
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.rate_limits import RateLimits
from gateway.core.service import Filter, Service


class RateLimit(Filter):
    """Holds every client to its own rate, over all models; what it would have to wait for is refused at once."""

    __slots__ = ("_clients", "_clock", "_limits")

    def __init__(
        self,
        inner: Service,
        clients: Clients,
        limits: RateLimits,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(inner)
        self._clients = clients
        self._limits = limits
        self._clock = clock

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        missing = self._limits.take(self._clients.name(request.context), self._clock())
        if missing:
            # Who it is stays unsaid: where the name is a key, it must not get into an error that is logged.
            raise RateLimited(f"the client is over its rate limit; in {missing:.3f} s it may ask again", missing)
        return await self.inner(request)
