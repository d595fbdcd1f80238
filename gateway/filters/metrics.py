"""Measure whole requests: duration, outcome, and what the gateway itself added."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from gateway.core.errors import GatewayError
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service


class RequestRecorder(Protocol):
    """Where the measurements go."""

    def request_finished(
        self, protocol: str, model: str, backend: str, outcome: str, duration: float, overhead: float
    ) -> None:
        """One request ended; durations in seconds, ``overhead`` is the part outside any backend."""


class Metrics(Filter):
    """Counts from the moment the front door had the request, so that decoding it is part of the overhead."""

    __slots__ = ("_recorder",)

    def __init__(self, inner: Service, recorder: RequestRecorder) -> None:
        super().__init__(inner)
        self._recorder = recorder

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        try:
            response = await self.inner(request)
        except GatewayError as error:
            self._record(request, error.reason)
            raise
        except asyncio.CancelledError:
            self._record(request, "cancelled")
            raise
        except Exception:
            self._record(request, "internal")
            raise
        self._record(request, "ok")
        return response

    def _record(self, request: InferRequest, outcome: str) -> None:
        context = request.context
        duration = time.perf_counter() - context.started
        overhead = max(0.0, duration - context.backend_seconds)
        self._recorder.request_finished(context.protocol, request.model, context.served_by, outcome, duration, overhead)
