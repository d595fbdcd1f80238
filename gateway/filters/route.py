"""Send a request to the stack of its model and version."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import DeadlineExceeded, outcome_of
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.routing import ModelRouting


class RouteRecorder(Protocol):
    """Where it is counted what the configuration decided."""

    def routed(self, model: str, version: str, by: str, outcome: str, duration: float) -> None:
        """One request ended that went to ``version`` because ``by``, a key below the model's routing, says so.

        ``duration`` is in seconds since the front door had it.
        """


class Route:
    """The fork in the stack: above it one chain for all requests, below it one chain for each model.

    ``routing``, by model, fills in what a request leaves open; ``recorder`` hears of what it did.
    """

    __slots__ = ("_catalog", "_recorder", "_routing")

    def __init__(self, catalog: Catalog, routing: Mapping[str, ModelRouting], recorder: RouteRecorder) -> None:
        self._catalog = catalog
        self._routing = routing
        self._recorder = recorder

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        routing = self._routing.get(request.model)
        by = "" if routing is None else routing.apply(request, self._catalog)
        model = self._catalog.get(request.model, request.version, request.label)
        model.in_flight.enter()
        try:
            response = await model.service(request)
        except BaseException as error:
            if by:
                # The deadline stands above, and cancels what is below.
                late = isinstance(error, asyncio.CancelledError) and request.context.expired
                self._record(request, model, by, DeadlineExceeded.reason if late else outcome_of(error))
            raise
        finally:
            model.in_flight.leave()
        if by:
            self._record(request, model, by, "ok")
        return response

    def _record(self, request: InferRequest, model: ServedModel, by: str, outcome: str) -> None:
        duration = time.perf_counter() - request.context.started
        self._recorder.routed(model.name, model.version, by, outcome, duration)
