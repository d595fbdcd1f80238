"""Give every request a W3C trace context, so that one id follows it through every log and backend."""

from __future__ import annotations

import random
import re

from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Trace(Filter):
    """Keeps the trace id a client sent and starts a new span under it; without a valid one, starts a trace."""

    __slots__ = ("_random",)

    def __init__(self, inner: Service, rng: random.Random | None = None) -> None:
        super().__init__(inner)
        # Ids must be unique, not secret; the system's generator costs two calls into the kernel a request.
        self._random = rng or random.Random()  # noqa: S311

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context = request.context
        span = self._random.getrandbits(64) or 1
        if _TRACEPARENT.fullmatch(context.traceparent):
            context.traceparent = f"{context.traceparent[:36]}{span:016x}{context.traceparent[52:]}"
        else:
            # Not sampled: whoever samples decides at the edge, and the edge said nothing.
            context.traceparent = f"00-{self._random.getrandbits(128) or 1:032x}-{span:016x}-00"
        return await self.inner(request)
