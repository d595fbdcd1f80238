"""Service and Filter: the two shapes that everything between a front door and a backend has.

A Service is an async callable from request to response. A Filter is a Service that holds another one
and adds one behaviour around it. (Finagle's terms; tower calls the filter a layer.)
"""

from __future__ import annotations

from typing import Protocol

from gateway.core.messages import InferRequest, InferResponse


class Service(Protocol):
    """Answers one request, or raises a ``GatewayError``."""

    async def __call__(self, request: InferRequest, /) -> InferResponse: ...


class Filter:
    """Base of the filters: keeps the inner service. Built once at start, shared by all requests."""

    __slots__ = ("inner",)

    def __init__(self, inner: Service) -> None:
        self.inner = inner

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        """Answer ``request``, by default by handing it on unchanged."""
        return await self.inner(request)
