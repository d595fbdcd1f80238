"""Judge a backend by the attempts on it, next to the wire.

Below batching, so that what many requests share counts once. ``Balance`` acts upon it.
"""

from __future__ import annotations

import structlog

from gateway.core.accrual import is_failure
from gateway.core.backend import Endpoint
from gateway.core.errors import ConnectFailed, ConnectionLost, outcome_of
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service

_log = structlog.get_logger()


class Breaker(Filter):
    """Opens and closes the circuit of ``endpoint``; refuses nothing itself."""

    __slots__ = ("_endpoint",)

    def __init__(self, inner: Service, endpoint: Endpoint) -> None:
        super().__init__(inner)
        self._endpoint = endpoint

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        endpoint = self._endpoint
        circuit = endpoint.circuit
        generation = circuit.generation
        try:
            response = await self.inner(request)
        except Exception as error:
            self._note(error, generation)
            raise
        if circuit.succeeded(generation, endpoint.clock()):
            endpoint.come_back()
            _log.info("circuit closed", backend=endpoint.backend, model=endpoint.model)
        return response

    def _note(self, error: Exception, generation: int) -> None:
        endpoint = self._endpoint
        if isinstance(error, ConnectFailed):
            # The health check would notice within its interval; until then every request would pay for it.
            endpoint.mark_down("connection refused")
        elif isinstance(error, ConnectionLost):
            # A process that is being killed still takes connections for a moment, and loses them too.
            endpoint.suspect = True
        if is_failure(error) and endpoint.circuit.failed(generation, endpoint.clock()):
            _log.warning(
                "circuit opened", backend=endpoint.backend, model=endpoint.model, last_failure=outcome_of(error)
            )
