"""Keep a model's cumulative statistics for the statistics extension."""

from __future__ import annotations

import time

from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service
from gateway.core.statistics import ModelStatistics


class Statistics(Filter):
    """Counts what reaches the model's stack; durations start when the front door had the request."""

    __slots__ = ("_batched", "_statistics")

    def __init__(self, inner: Service, statistics: ModelStatistics, *, batched: bool) -> None:
        super().__init__(inner)
        self._statistics = statistics
        self._batched = batched

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context = request.context
        before = time.perf_counter() - context.started
        try:
            response = await self.inner(request)
        except BaseException:
            self._statistics.record_failure(time.perf_counter() - context.started)
            raise
        queued = context.queue_seconds + context.batch_seconds + context.admission_seconds
        if context.cached:
            self._statistics.record_cached(queued, time.perf_counter() - context.started)
            return response
        self._statistics.record_success(
            request.rows if self._batched else None,
            before,
            queued,
            max(0.0, context.backend_seconds - context.queue_seconds),
            time.perf_counter() - context.started,
        )
        return response
