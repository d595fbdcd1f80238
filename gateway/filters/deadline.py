"""Give up when the client's time, or the configured default, is over."""

from __future__ import annotations

import asyncio
import time

from gateway.core.errors import DeadlineExceeded
from gateway.core.expiry import Expiry
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service


class Deadline(Filter):
    """Cancels the inner service at the deadline, which counts from when the front door had the request."""

    __slots__ = ("_default",)

    def __init__(self, inner: Service, default: float) -> None:
        super().__init__(inner)
        self._default = default

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        allowed = self._default if request.context.timeout is None else request.context.timeout
        remaining = allowed - (time.perf_counter() - request.context.started)
        if remaining <= 0:
            raise DeadlineExceeded(f"the deadline of {allowed * 1000:.0f} ms had passed before the request was sent")
        loop = asyncio.get_running_loop()
        request.context.deadline = loop.time() + remaining  # backends are told of it
        try:
            with Expiry(loop, request.context.deadline):
                return await self.inner(request)
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within the deadline of {allowed * 1000:.0f} ms") from None
