"""Measure one attempt on one backend, next to the wire."""

from __future__ import annotations

import time
from typing import Protocol

from gateway.core.backend import Endpoint
from gateway.core.errors import ConnectFailed, outcome_of
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service


class AttemptRecorder(Protocol):
    """Where the measurements of one backend go."""

    def attempt_started(self) -> None:
        """One more attempt is in flight."""

    def attempt_finished(self, outcome: str, duration: float, trace_id: str) -> None:
        """One attempt ended after ``duration`` seconds; ``trace_id`` is empty unless somebody keeps the trace."""


class AttemptMetrics(Filter):
    """Keeps the request's backend time, and which backends refused it."""

    __slots__ = ("_endpoint", "_recorder")

    def __init__(self, inner: Service, endpoint: Endpoint, recorder: AttemptRecorder) -> None:
        super().__init__(inner)
        self._endpoint = endpoint
        self._recorder = recorder

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        self._recorder.attempt_started()
        started = time.perf_counter()
        outcome = "ok"
        try:
            return await self.inner(request)
        except BaseException as error:
            outcome = outcome_of(error)
            if isinstance(error, ConnectFailed):
                request.context.tried += (self._endpoint.backend,)
            raise
        finally:
            duration = time.perf_counter() - started
            request.context.backend_seconds += duration
            self._recorder.attempt_finished(outcome, duration, request.context.sampled_trace)
