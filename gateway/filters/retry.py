"""Send a request that failed to another backend, where that does no harm and the budget allows it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.core.errors import (
    AttemptTimeout,
    BackendError,
    ConnectFailed,
    GatewayError,
    NoHealthyBackend,
    QueueTimeout,
    RequestRefused,
    Unavailable,
)
from gateway.core.idempotence import is_idempotent
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.retry_budget import RetryBudget
from gateway.core.service import Filter, Service

# What a second backend may do better. All else is the request's fault, or its time is over.
_RETRYABLE = (Unavailable, BackendError, AttemptTimeout)
_FINAL = (NoHealthyBackend, QueueTimeout, RequestRefused)


class RetryRecorder(Protocol):
    """Where retries are counted."""

    def retried(self, reason: str) -> None:
        """One request was sent again because of ``reason``."""

    def retry_refused(self) -> None:
        """One was not, because the budget is used up."""


class Retry(Filter):
    """Sends a request at most ``attempts`` times in all; a client that named its backend gets the first failure.

    What no server has seen may always go again. What one may have run goes again only where running it twice does no
    harm. The deadline needs no thought here: it stands above, and ends whatever goes on below.
    """

    __slots__ = ("_attempts", "_budget", "_recorder")

    def __init__(self, inner: Service, attempts: int, budget: RetryBudget, recorder: RetryRecorder) -> None:
        super().__init__(inner)
        self._attempts = attempts
        self._budget = budget
        self._recorder = recorder

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        self._budget.deposit(asyncio.get_running_loop().time())
        try:
            return await self.inner(request)
        except _RETRYABLE as error:
            return await self._retry(request, error)

    async def _retry(self, request: InferRequest, failure: GatewayError) -> InferResponse:
        """The answer of another backend; raises the failure of the last one that was asked."""
        context, loop = request.context, asyncio.get_running_loop()
        for _ in range(self._attempts - 1):
            if not _may_go_again(request, failure):
                break
            if not self._budget.withdraw(loop.time()):
                self._recorder.retry_refused()
                break
            if context.served_by not in context.tried:
                context.tried += (context.served_by,)
            try:
                response = await self.inner(request)
            except NoHealthyBackend:
                # Nobody else is left, so this was no retry, and the client learns more from the failure itself.
                self._budget.refund(loop.time())
                break
            except _RETRYABLE as error:
                self._recorder.retried(failure.reason)
                failure = error.with_traceback(None)
            else:
                self._recorder.retried(failure.reason)
                return response
        try:
            raise failure
        finally:
            del failure  # its traceback holds this frame


def _may_go_again(request: InferRequest, failure: GatewayError) -> bool:
    if request.context.backend or isinstance(failure, _FINAL):
        return False
    return isinstance(failure, ConnectFailed) or is_idempotent(request)
