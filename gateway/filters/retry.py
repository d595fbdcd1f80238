"""A refused connection goes on to another backend, once."""

from __future__ import annotations

from typing import Protocol

from gateway.core.errors import ConnectFailed
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service


class RetryRecorder(Protocol):
    """Where retries are counted."""

    def retried(self, reason: str) -> None:
        """One request was sent again because of ``reason``."""


class RetryOnConnectFailure(Filter):
    """Sends again only what no server has seen; a client that named its backend gets the failure."""

    __slots__ = ("_recorder",)

    def __init__(self, inner: Service, recorder: RetryRecorder) -> None:
        super().__init__(inner)
        self._recorder = recorder

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        try:
            return await self.inner(request)
        except ConnectFailed as error:
            if request.context.backend:
                raise
            self._recorder.retried(error.reason)
            return await self.inner(request)
