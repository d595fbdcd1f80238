"""Say on the span of a recorded request what it asked for, and who answered."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter
from gateway.core.span import Span


class Trace(Filter):
    """Steps aside for requests whose trace is not recorded, which are most."""

    __slots__ = ()

    def __call__(self, request: InferRequest, /) -> Coroutine[Any, Any, InferResponse]:
        span = request.context.span
        return self.inner(request) if span is None else self._noted(request, span)

    async def _noted(self, request: InferRequest, span: Span) -> InferResponse:
        version = request.version
        try:
            response = await self.inner(request)
            version = response.version
            return response
        finally:
            asked = {"gateway.protocol": request.context.protocol, "gateway.model": request.model}
            found = {"gateway.version": version, "gateway.backend": request.context.served_by}
            span.note(asked | {name: value for name, value in found.items() if value})
