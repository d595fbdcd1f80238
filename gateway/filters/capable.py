"""Refuse what a backend cannot carry before it is sent there."""

from __future__ import annotations

from gateway.core.capabilities import Capabilities
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service


class Capable(Filter):
    """Holds each request against the backend's limits."""

    __slots__ = ("_backend", "_capabilities")

    def __init__(self, inner: Service, backend: str, capabilities: Capabilities) -> None:
        super().__init__(inner)
        self._backend = backend
        self._capabilities = capabilities

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        self._capabilities.check(self._backend, request)
        return await self.inner(request)
