"""Send a request to the stack of its model and version."""

from __future__ import annotations

from gateway.core.catalog import Catalog
from gateway.core.messages import InferRequest, InferResponse


class Route:
    """The fork in the stack: above it one chain for all requests, below it one chain for each model."""

    __slots__ = ("_catalog",)

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        model = self._catalog.get(request.model, request.version, request.label)
        model.in_flight.enter()
        try:
            return await model.service(request)
        finally:
            model.in_flight.leave()
