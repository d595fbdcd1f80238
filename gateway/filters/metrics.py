"""Measure whole requests: duration, outcome, and what the gateway itself added."""

from __future__ import annotations

import time
from typing import Protocol

from gateway.core.errors import outcome_of
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service
from gateway.core.tensors import total_bytes


class RequestRecorder(Protocol):
    """Where the measurements go."""

    def request_finished(
        self, protocol: str, model: str, backend: str, outcome: str, duration: float, overhead: float, trace_id: str
    ) -> None:
        """One request ended; durations in seconds, ``overhead`` is the part outside any backend.

        ``trace_id`` is empty unless somebody keeps the trace.
        """

    def payload(self, protocol: str, received: int, sent: int | None) -> None:
        """Bytes of its tensors; ``sent`` is None when it got no answer."""


class Metrics(Filter):
    """Counts from the moment the front door had the request, so that decoding it is part of the overhead."""

    __slots__ = ("_recorder",)

    def __init__(self, inner: Service, recorder: RequestRecorder) -> None:
        super().__init__(inner)
        self._recorder = recorder

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        try:
            response = await self.inner(request)
        except BaseException as error:
            self._record(request, outcome_of(error), None)
            raise
        self._record(request, "ok", total_bytes(response.outputs))
        return response

    def _record(self, request: InferRequest, outcome: str, sent: int | None) -> None:
        context = request.context
        duration = time.perf_counter() - context.started
        overhead = context.overhead(duration)
        self._recorder.request_finished(
            context.protocol, request.model, context.served_by, outcome, duration, overhead, context.sampled_trace
        )
        self._recorder.payload(context.protocol, total_bytes(request.inputs), sent)
