"""Answer a request from an equal one before it: from one that is kept, or from one that is under way.

Equal requests that come while the first is under way wait for its answer. Each keeps its own deadline, and none depends
on another: the call goes on as long as one of them waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from gateway.core.catalog import ServedModel
from gateway.core.errors import Unavailable
from gateway.core.flight import Flight
from gateway.core.idempotence import is_idempotent
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.request_key import request_key
from gateway.core.response_cache import CACHE, ResponseCache
from gateway.core.service import Filter, Service
from gateway.core.tensors import total_bytes

# To wake a thread takes about as long as to hash so many bytes.
_HASHED_ON_THE_LOOP = 256 * 2**10


class CacheRecorder(Protocol):
    """Where the measurements of one model's cache go."""

    def cache_asked(self, result: str) -> None:
        """One request: ``hit``, ``miss``, ``joined`` one under way, or ``bypass``: it must not be answered so."""

    def cache_evicted(self, count: int) -> None:
        """So many answers, of any model, had to make room."""


@dataclass(slots=True, frozen=True)
class Caching:
    """What the caches of all models share.

    Attributes:
        responses: where the answers are kept.
        recorder: makes the recorder of a model, by its name.
        models: names of the models whose answers are kept; None means all.
        goes_on: a new stack is for the same load of the model, whose answers so far are good.
    """

    responses: ResponseCache
    recorder: Callable[[str], CacheRecorder]
    models: frozenset[str] | None = None
    goes_on: bool = False

    def covers(self, model: str) -> bool:
        """Whether the answers of ``model`` are kept."""
        return self.models is None or model in self.models


@dataclass(slots=True, frozen=True)
class _Call:
    """A call under way, and what is measured of it."""

    flight: Flight[InferResponse]
    context: RequestContext


class Cache(Filter):
    """The cache of one version of a model, from its loading to the next.

    A client that names a backend or asks for a fresh answer goes past it, and so does every part of a sequence.
    """

    __slots__ = ("_calls", "_model", "_recorder", "_responses", "_scope")

    def __init__(self, inner: Service, model: ServedModel, caching: Caching) -> None:
        super().__init__(inner)
        self._model = model
        self._responses = caching.responses
        scope_of = caching.responses.scope if caching.goes_on else caching.responses.open
        self._scope = scope_of(model.name, model.version)
        self._recorder = caching.recorder(model.name)
        # Only what is as urgent shares a call: nobody's turn may pass because another one would not wait for it.
        self._calls: dict[tuple[bytes, int, float | None], _Call] = {}

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context = request.context
        if context.backend or context.fresh or not is_idempotent(request):
            self._recorder.cache_asked("bypass")
            return await self.inner(request)
        started = time.perf_counter()
        key = await self._key(request)
        response = self._responses.get(key, asyncio.get_running_loop().time())
        looked_up = time.perf_counter() - started
        if response is None:
            return await self._share(request, key, looked_up)
        self._recorder.cache_asked("hit")
        self._model.statistics.cache_hit.add(looked_up)
        context.served_by, context.cached = CACHE, True
        return response

    async def _key(self, request: InferRequest) -> bytes:
        if total_bytes(request.inputs) <= _HASHED_ON_THE_LOOP:
            return request_key(self._scope.number, request)
        return await asyncio.to_thread(request_key, self._scope.number, request)

    async def _share(self, request: InferRequest, key: bytes, looked_up: float) -> InferResponse:
        """Wait for a call under way that is equal, or else for a new one."""
        context = request.context
        place = (key, context.priority, context.queue_timeout)
        call = self._calls.get(place)
        if call is None or not call.flight.joinable:
            self._recorder.cache_asked("miss")
            return await _wait(self._begin(request, place, looked_up), context)
        self._recorder.cache_asked("joined")
        try:
            return await self._join(call, context, looked_up)
        except Unavailable:
            # That was the moment's fault. The first to wake asks anew and the others join: no stampede, no procession.
            call = self._calls.get(place)
            if call is None or not call.flight.joinable:
                return await _wait(self._begin(request, place, looked_up), context)
            return await self._join(call, context, looked_up)

    def _begin(self, request: InferRequest, place: tuple[bytes, int, float | None], looked_up: float) -> _Call:
        context = _own_context(request.context)
        answering = self._answer(replace(request, context=context), place[0], looked_up)
        call = self._calls[place] = _Call(Flight(answering, partial(self._landed, place)), context)
        return call

    async def _join(self, call: _Call, context: RequestContext, looked_up: float) -> InferResponse:
        response = await _wait(call, context)
        self._model.statistics.cache_hit.add(looked_up)
        context.cached = True
        return response

    async def _answer(self, request: InferRequest, key: bytes, looked_up: float) -> InferResponse:
        response = await self.inner(request)
        started = time.perf_counter()
        if self._is_whole(request, response):
            evicted = self._responses.put(self._scope, key, response, asyncio.get_running_loop().time())
            if evicted:
                self._recorder.cache_evicted(evicted)
        self._model.statistics.cache_miss.add(looked_up + time.perf_counter() - started)
        return response

    def _is_whole(self, request: InferRequest, response: InferResponse) -> bool:
        """Whether it will be an answer to the client: one that lacks outputs is an error of the backend's."""
        wanted = request.outputs or self._model.signature_called(request.signature).output_names
        return {output.name for output in response.outputs}.issuperset(wanted)

    def _landed(self, place: tuple[bytes, int, float | None]) -> None:
        call = self._calls.get(place)
        if call is not None and not call.flight.joinable:  # else there is a new one already
            del self._calls[place]


def _own_context(first: RequestContext) -> RequestContext:
    """What stands beside a call that ``first`` begins: its place in the trace and how urgent it is, but no deadline.

    Each of those who wait has a deadline of its own, and the call ends when none of them is left.
    """
    return first.for_several(priority=first.priority, queue_timeout=first.queue_timeout)


async def _wait(call: _Call, context: RequestContext) -> InferResponse:
    """An answer of the caller's own; ``context`` gets the part of the measurements that it waited for."""
    started = time.perf_counter()
    try:
        return replace(await call.flight.wait())
    finally:
        of_call, waited = call.context, time.perf_counter() - started
        in_admission = min(of_call.admission_seconds, waited)
        in_batch = min(of_call.batch_seconds, waited - in_admission)
        in_backend = waited - in_admission - in_batch
        if call.flight.landed:  # one that is under way has not measured its backend yet
            in_backend = min(of_call.backend_seconds, in_backend)
        context.served_by = of_call.served_by
        context.admission_seconds += in_admission
        context.batch_seconds += in_batch
        context.backend_seconds += in_backend
        context.queue_seconds += min(of_call.queue_seconds, in_backend)
