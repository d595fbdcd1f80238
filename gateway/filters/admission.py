"""Keep the number of requests under way within what the backends of a model can use."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from gateway.core.criticality import criticality_of
from gateway.core.errors import Overloaded
from gateway.core.gate import Gate
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service


class Admission(Filter):
    """Sends every request through ``gate``, and tells it how each of them ended."""

    __slots__ = ("_clock", "_gate")

    def __init__(self, inner: Service, gate: Gate, clock: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(inner)
        self._gate = gate
        self._clock = clock

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context, gate = request.context, self._gate
        criticality = criticality_of(context)
        started = self._clock() if gate.enter(criticality) else await gate.wait(context, criticality)
        try:
            response = await self.inner(request)
        except asyncio.CancelledError:
            if context.expired:
                gate.exceeded(self._clock() - started)
            else:
                gate.leave()
            raise
        except Overloaded:
            gate.exceeded(math.inf)
            raise
        except BaseException:
            gate.leave()
            raise
        now = self._clock()
        gate.answered(now - started, now)
        return response
