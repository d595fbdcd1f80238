"""Make each attempt on a backend a span of its own, so that retries are seen and the backend's spans hang below it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from gateway.core.backend import Endpoint
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service
from gateway.core.span import SpanKind
from gateway.core.tracing import child_span


class AttemptTrace(Filter):
    """Steps aside for requests whose trace is not recorded. ``kind`` is ``internal`` for an engine in this process."""

    __slots__ = ("_attributes", "_kind", "_name")

    def __init__(self, inner: Service, endpoint: Endpoint, kind: SpanKind) -> None:
        super().__init__(inner)
        self._name = f"attempt {endpoint.backend}"
        self._kind: SpanKind = kind
        self._attributes = {"gateway.backend": endpoint.backend, "gateway.model": endpoint.model}
        if endpoint.version:
            self._attributes["gateway.version"] = endpoint.version

    def __call__(self, request: InferRequest, /) -> Coroutine[Any, Any, InferResponse]:
        return self.inner(request) if request.context.span is None else self._timed(request)

    async def _timed(self, request: InferRequest) -> InferResponse:
        with child_span(request.context, self._name, self._kind, self._attributes):
            return await self.inner(request)
