"""Join requests into batches while all lanes to the backend are busy, and only then.

A lane is a call that may be under way. While one is free a request goes out at once and alone, so a quiet gateway adds
no delay; a batch is what has gathered when a lane becomes free, so that a busy one makes few calls of many rows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.core.backend import Backend
from gateway.core.batch_queue import BatchQueue
from gateway.core.batch_size import BatchSize
from gateway.core.batches import join_inputs, likeness, split_response
from gateway.core.errors import (
    BackendError,
    GatewayError,
    InvalidRequest,
    Overloaded,
    QueueTimeout,
    Unsupported,
    own_copy,
)
from gateway.core.lanes import Lanes
from gateway.core.messages import NO_PARAMETERS, InferRequest, InferResponse
from gateway.core.padding import Padding
from gateway.core.service import Filter, Service
from gateway.core.shared_call import SharedCall, Turn, note, shared_context
from gateway.core.tensors import total_bytes
from gateway.core.tracing import child_span

# What may be the fault of one request, or of their being together: too much at once for the server, for example.
_OF_ONE = (BackendError, InvalidRequest, Unsupported)
# The calls under way are of one size when they have at most so many times as many rows as one of them on each lane.
_ALIKE = 1.5


@dataclass(slots=True, frozen=True, kw_only=True)
class BatchLimits:
    """Bounds of one model's batches on one backend.

    Attributes:
        rows: of one batch.
        nbytes: of its tensors.
        queue: requests that may wait for a lane.
        least_lanes, most_lanes: calls under way at once; what is best between them is found.
    """

    rows: int
    nbytes: int
    queue: int
    least_lanes: int
    most_lanes: int


class BatchRecorder(Protocol):
    """Where the measurements of one backend go."""

    def batch_sent(self, rows: int) -> None:
        """One call goes out with so many rows."""

    def lane_waited(self, seconds: float) -> None:
        """One request has waited so long for a lane; 0 when it need not."""


class Batch(Filter):
    """Stands before one endpoint; ``backend`` tells how many bytes a request to it may have.

    With a ``padding``, rows of several lengths may go together.

    A batch that the backend fails on is sent again, each of its requests alone: one that cannot be answered must not
    fail its neighbours.
    """

    __slots__ = (
        "__weakref__",
        "_backend",
        "_busy",
        "_calls",
        "_clock",
        "_filling",
        "_lanes",
        "_limits",
        "_padding",
        "_queue",
        "_recorder",
        "_rows",
        "_size",
    )

    def __init__(
        self,
        inner: Service,
        backend: Backend,
        limits: BatchLimits,
        recorder: BatchRecorder,
        *,
        padding: Padding | None = None,
        clock: Callable[[], float] = time.perf_counter,  # the loop's own counts milliseconds
    ) -> None:
        super().__init__(inner)
        self._backend = backend
        self._limits = limits
        self._recorder = recorder
        self._padding = padding
        self._clock = clock
        self._size = BatchSize(limits.rows)
        self._busy = 0  # lanes
        self._rows = 0  # on them
        self._filling = False
        self._calls: set[asyncio.Task[None]] = set()
        self._lanes = Lanes(limits.least_lanes, limits.most_lanes)
        self._queue: BatchQueue[Turn] = BatchQueue()

    @property
    def capacity(self) -> int:
        """How many may wait; more are refused."""
        return self._limits.queue

    @property
    def depth(self) -> int:
        """How many wait now."""
        return len(self._queue)

    @property
    def lane_count(self) -> int:
        """Calls that may be under way now."""
        return self._lanes.limit

    @property
    def appetite(self) -> int:
        """Rows under way that keep its lanes full, and one more batch ready, which may be one that tries a new size."""
        now = self._clock()
        return self._lanes.limit * self._size.proven(now) + self._size.limit(now)

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        if self._busy or self._queue:
            return await self._wait(request)
        self._busy += 1
        self._recorder.lane_waited(0.0)
        return await self._alone(request)

    async def _alone(self, request: InferRequest) -> InferResponse:
        """Send it on a lane that is taken already, and free the lane."""
        rows, started = request.rows, self._clock()
        fair = self._send(rows)
        try:
            response = await self.inner(request)
            self._learn(rows, started, self._clock(), fair=fair)
            return response
        finally:
            self._busy -= 1
            self._rows -= rows
            self._fill()

    async def _wait(self, request: InferRequest) -> InferResponse:
        if len(self._queue) >= self._limits.queue:
            count, name = self._limits.queue, self._backend.name
            raise Overloaded(f"backend {name!r}: {count} requests for model {request.model!r} wait already")
        loop, context = asyncio.get_running_loop(), request.context
        turn = Turn(
            likeness=likeness(request, self._padding),
            rows=request.rows,
            nbytes=total_bytes(request.inputs),
            level=context.level,
            request=request,
            answer=loop.create_future(),
            since=self._clock(),
        )
        self._queue.add(turn)
        if not self._filling and self._busy < self._lanes.limit:
            # What arrives in the same step of the loop goes together, and nothing waits longer than that step.
            self._filling = True
            loop.call_soon(self._fill)
        timer = context.queue_timeout and loop.call_later(context.queue_timeout, self._expire, turn)
        try:
            with child_span(context, "batch"):
                answer = await turn.answer
        except asyncio.CancelledError:
            self._abandon(turn)
            raise
        finally:
            if timer:
                timer.cancel()
        return await self._alone(request) if answer is None else answer

    def _abandon(self, turn: Turn) -> None:
        """Nobody waits for its answer any more."""
        self._queue.discard(turn)
        if turn.call is not None:
            turn.call.leave()
        elif not turn.answer.cancelled() and turn.answer.exception() is None:
            self._busy -= 1  # its turn came in the very moment
            self._fill()

    def _expire(self, turn: Turn) -> None:
        if turn.call is None and not turn.answer.done():
            self._queue.discard(turn)
            reason = "the request's timeout expired in the queue"
            turn.answer.set_exception(QueueTimeout(f"backend {self._backend.name!r}: {reason}"))

    def _fill(self) -> None:
        """Give the free lanes to those that wait."""
        self._filling = False
        while self._queue and self._busy < self._lanes.limit:
            loop = asyncio.get_running_loop()
            now = self._clock()
            taken = self._queue.take(rows=self._size.limit(now), nbytes=self._most_bytes())
            turns = [turn for turn in taken if not turn.answer.done()]  # some may have been cancelled in this very step
            for turn in turns:
                turn.request.context.batch_seconds += now - turn.since
                self._recorder.lane_waited(now - turn.since)
            if len(turns) > 1:
                self._busy += 1
                task = loop.create_task(self._together(turns))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
                call = SharedCall(task, len(turns))
                for turn in turns:
                    turn.call = call
            elif turns:
                self._busy += 1
                turns[0].answer.set_result(None)

    def _most_bytes(self) -> int:
        own = self._backend.capabilities.request_bytes
        return min(own, self._limits.nbytes) if own else self._limits.nbytes

    async def _together(self, turns: Sequence[Turn]) -> None:
        """Send them as one on a lane that is taken already, answer each of them, and free the lane."""
        rows, started = [turn.rows for turn in turns], self._clock()
        total = sum(rows)
        context, fair = shared_context(turns), self._send(total)
        try:
            joined = join_inputs([turn.request for turn in turns], self._padding)
            request = replace(turns[0].request, inputs=joined, context=context, id="", parameters=NO_PARAMETERS)
            answers = split_response(await self.inner(request), rows)
            now = self._clock()
        except _OF_ONE:
            self._size.refused(total, self._clock())
            note(turns, context)
            self._separate(turns)
        except Exception as error:
            note(turns, context)
            for turn in turns:
                if not turn.answer.done():
                    turn.answer.set_exception(own_copy(error) if isinstance(error, GatewayError) else error)
        else:
            note(turns, context)
            for turn, answer in zip(turns, answers, strict=True):
                if not turn.answer.done():
                    turn.answer.set_result(answer)
            self._learn(total, started, now, fair=fair)
        finally:
            self._busy -= 1
            self._rows -= total
            self._fill()

    def _separate(self, turns: Sequence[Turn]) -> None:
        now = self._clock()
        for turn in turns:
            if not turn.answer.done():
                turn.call, turn.since, turn.likeness = None, now, None
                self._queue.add(turn)

    def _send(self, rows: int) -> bool:
        """Note that a call goes out; says whether its time tells of its size.

        Among calls that leave while there is nothing else to do, single ones would look quicker than they are; behind
        larger calls in the backend slower, and behind smaller ones quicker.
        """
        self._recorder.batch_sent(rows)
        self._rows += rows
        evenly = rows * self._busy
        return self._busy >= self._lanes.limit and evenly <= _ALIKE * self._rows and self._rows <= _ALIKE * evenly

    def _learn(self, rows: int, started: float, now: float, *, fair: bool) -> None:
        if fair:
            self._size.answered(rows, now - started, now)
        self._lanes.answered(rows, now, crowded=bool(self._queue))
