"""Send a request that takes unusually long to a second backend too; the first good answer wins."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Protocol

from gateway.core.errors import NoHealthyBackend
from gateway.core.idempotence import is_idempotent
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.recent_latency import RecentLatency
from gateway.core.retry_budget import RetryBudget
from gateway.core.service import Filter, Service

_LEAST_DELAY = 0.001  # seconds, the resolution of the loop's timers: with less, nearly all requests would be late

_Attempt = asyncio.Task[InferResponse]


class HedgeRecorder(Protocol):
    """Where hedges are counted."""

    def hedged(self, *, won: bool) -> None:
        """One request was sent to a second backend; ``won``: that one answered first."""


class Hedge(Filter):
    """Waits for as long as most requests take by ``latency``; does nothing before that one has enough samples.

    The loser is cancelled, down to its backend. ``excluded`` names the backends that would go on regardless: a request
    is sent neither to one of them nor away from it.
    """

    __slots__ = ("_budget", "_excluded", "_latency", "_recorder")

    def __init__(
        self,
        inner: Service,
        latency: RecentLatency,
        budget: RetryBudget,
        excluded: Collection[str],
        recorder: HedgeRecorder,
    ) -> None:
        super().__init__(inner)
        self._latency = latency
        self._budget = budget
        self._excluded = tuple(excluded)
        self._recorder = recorder

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context, loop = request.context, asyncio.get_running_loop()
        if context.backend or context.tried or not is_idempotent(request):
            return await self.inner(request)
        started, delay = loop.time(), self._latency.value
        self._budget.deposit(started)
        if delay is None:
            response = await self.inner(request)
        else:
            response = await self._hedged(request, max(delay, _LEAST_DELAY))
        # Also of a loser: it would have taken longer still, and so stands on the right side of the percentile.
        now = loop.time()
        self._latency.add(now - started, now)
        return response

    async def _hedged(self, request: InferRequest, delay: float) -> InferResponse:
        """The first good answer; raises the failure of the first backend when neither gives one."""
        context, loop = request.context, asyncio.get_running_loop()
        started, span, traceparent = loop.time(), context.span, context.traceparent
        first = loop.create_task(self.inner(request))
        attempts = [first]
        try:
            await asyncio.wait(attempts, timeout=delay)
            if first.done() or context.served_by in self._excluded or not self._budget.withdraw(loop.time()):
                return await first
            waited = loop.time() - started
            # The attempt under way has a span of its own in the context; the second one belongs beside it.
            tried = (context.served_by, *self._excluded)
            own = replace(context, span=span, traceparent=traceparent, tried=tried)
            second = loop.create_task(self.inner(replace(request, context=own)))
            attempts.append(second)
            await _first_good(attempts)
        finally:
            await _stop(attempts)
        return self._settle(first, context, second, own, waited)

    def _settle(
        self, first: _Attempt, context: RequestContext, second: _Attempt, own: RequestContext, waited: float
    ) -> InferResponse:
        """The answer, once both have ended; ``own`` is the second one's context, ``waited`` the seconds before it."""
        won = not _is_good(first) and _is_good(second)
        if not won and _found_nobody(second):
            self._budget.refund(asyncio.get_running_loop().time())
            return first.result()
        self._recorder.hedged(won=won)
        if not won:
            context.tried += (own.served_by,)  # of use to a retry, when both have failed
            return first.result()
        context.served_by = own.served_by
        context.backend_seconds = waited + own.backend_seconds
        context.queue_seconds, context.batch_seconds = own.queue_seconds, own.batch_seconds
        return second.result()


def _is_good(attempt: _Attempt) -> bool:
    return attempt.done() and not attempt.cancelled() and attempt.exception() is None


def _found_nobody(attempt: _Attempt) -> bool:
    return not attempt.cancelled() and isinstance(attempt.exception(), NoHealthyBackend)


async def _first_good(attempts: Collection[_Attempt]) -> None:
    """Return when one of ``attempts`` has an answer, or none will have."""
    pending = set(attempts)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        if any(_is_good(attempt) for attempt in done):
            return


async def _stop(attempts: Collection[_Attempt]) -> None:
    """Cancel what is under way, and return when all have ended."""
    pending = [attempt for attempt in attempts if not attempt.done()]
    for attempt in pending:
        attempt.cancel()
    if pending:
        await asyncio.wait(pending)
    for attempt in attempts:
        _is_good(attempt)  # asyncio warns of errors that nobody has looked at
