"""Send a copy of some requests to another backend or version too, once they are answered."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.core.idempotence import is_idempotent
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service
from gateway.filters.mirror import Mirror, Original, copy_of


class Shadow(Filter):
    """Gives a random ``share`` of the answered requests to ``mirror``; the client has its answer regardless.

    After the answer and not beside the request: the copy never competes with it, and its target is known not to be who
    answered. What changes a state at the server is never sent twice. ``random`` gives numbers from 0 to 1.
    """

    __slots__ = ("_mirror", "_random", "_share")

    def __init__(
        self, inner: Service, mirror: Mirror, share: float, *, random: Callable[[], float] = random.random
    ) -> None:
        super().__init__(inner)
        self._mirror = mirror
        self._share = share
        self._random = random

    def __call__(self, request: InferRequest, /) -> Coroutine[Any, Any, InferResponse]:
        if self._random() >= self._share or not is_idempotent(request):
            return self.inner(request)  # without a coroutine of its own, which would cost more than all the rest
        return self._with_copy(request)

    async def _with_copy(self, request: InferRequest) -> InferResponse:
        copy, started = copy_of(request), time.perf_counter()
        response = await self.inner(request)
        seconds = time.perf_counter() - started
        self._mirror.begin(Original(copy, response.outputs, request.context.served_by, seconds))
        return response
