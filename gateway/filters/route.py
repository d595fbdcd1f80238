"""Send a request to the stack of its model and version."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.core.catalog import Catalog
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Service


class Route:
    """The fork in the stack: above it one chain for all requests, below it one chain for each model."""

    __slots__ = ("_catalog", "_stacks")

    def __init__(self, catalog: Catalog, stacks: Mapping[str, Service]) -> None:
        self._catalog = catalog
        self._stacks = stacks

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        model = self._catalog.get(request.model, request.version)
        return await self._stacks[model.name](request)
