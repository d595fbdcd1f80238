"""Answer from one backend, and ask all others the same: how long they take, and how far their answers are."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from gateway.core.compared import Compared
from gateway.core.idempotence import is_idempotent
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service
from gateway.filters.mirror import Finding, Mirror, Original, copy_of

# Of the time that a client leaves: it gets its answer, whatever becomes of the others'.
_WAITS_FOR = 0.8


class Compare(Filter):
    """Has a random ``share`` of the answered requests asked again of every other backend, each of which has a mirror.

    Nobody waits for them, but a client that asks for the comparison (``RequestContext.compare``): it waits until they
    have answered, for at most ``patience`` seconds. ``random`` gives numbers from 0 to 1.
    """

    __slots__ = ("_mirrors", "_patience", "_random", "_share")

    def __init__(
        self,
        inner: Service,
        mirrors: Mapping[str, Mirror],
        share: float,
        patience: float,
        *,
        random: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(inner)
        self._mirrors = mirrors
        self._share = share
        self._patience = patience
        self._random = random

    def __call__(self, request: InferRequest, /) -> Coroutine[Any, Any, InferResponse]:
        if not (request.context.compare or self._random() < self._share) or not is_idempotent(request):
            return self.inner(request)  # without a coroutine of its own, which would cost more than all the rest
        return self._with_copies(request)

    async def _with_copies(self, request: InferRequest) -> InferResponse:
        context = request.context
        copy, started = copy_of(request), time.perf_counter()
        response = await self.inner(request)
        original = Original(copy, response.outputs, context.served_by, time.perf_counter() - started)
        begun = {name: mirror.begin(original) for name, mirror in self._mirrors.items() if name != original.served_by}
        if context.compare:
            patience = min(self._patience, _WAITS_FOR * context.time_left())
            waiting = time.perf_counter()
            try:
                others = await _results(begun, patience)
            finally:
                context.backend_seconds += time.perf_counter() - waiting  # for backends, and no work of the gateway's
            context.compared = (Compared(original.served_by, original.seconds), *others)
        return response


async def _results(begun: Mapping[str, asyncio.Task[Finding] | str], patience: float) -> list[Compared]:
    """What became of each within ``patience`` seconds; what takes longer goes on."""
    tasks = [each for each in begun.values() if not isinstance(each, str)]
    if tasks:
        await asyncio.wait(tasks, timeout=max(0.0, patience))
    return [_result(name, each) for name, each in begun.items()]


def _result(name: str, copy: asyncio.Task[Finding] | str) -> Compared:
    if isinstance(copy, str):
        return Compared(name, problem=copy)
    if not copy.done() or copy.cancelled():
        return Compared(name, problem="pending")
    finding = copy.result()
    if finding.reason:
        return Compared(name, problem=finding.reason)
    return Compared(name, finding.seconds, max((each.max_abs for each in finding.found), default=0.0))
