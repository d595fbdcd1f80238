"""One call to a backend that several requests share: who waits for it, and what stands beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.batch_queue import Waiting
from gateway.core.messages import InferRequest, InferResponse, RequestContext


@dataclass(slots=True, eq=False)
class SharedCall:
    """A call under way, and for how many of its requests somebody still waits."""

    task: asyncio.Task[None]
    wanted: int

    def leave(self) -> None:
        """One of them waits no more; the call ends with the last one."""
        self.wanted -= 1
        if not self.wanted:
            self.task.cancel()


@dataclass(slots=True, eq=False, kw_only=True)
class Turn(Waiting):
    """A request that waits for a lane, alone or with others.

    Attributes:
        request: itself.
        answer: its answer; None when it has a lane for itself and is to be sent by whoever waits.
        since: when it began to wait, in seconds by the queue's clock.
        call: the one that it is part of.
    """

    request: InferRequest
    answer: asyncio.Future[InferResponse | None]
    since: float
    call: SharedCall | None = None


def shared_context(turns: Sequence[Turn]) -> RequestContext:
    """What stands beside the joined request: as urgent as the most urgent, and given up when the last one is.

    In the trace it belongs to the first request that is recorded.
    """
    contexts = [turn.request.context for turn in turns]
    first = next((context for context in contexts if context.span is not None), contexts[0])
    return first.for_several(
        priority=min((context.priority for context in contexts if context.priority), default=0),
        deadline=max(context.deadline for context in contexts),
    )


def note(turns: Sequence[Turn], shared: RequestContext) -> None:
    """Write what the call has measured into each request's own context."""
    for turn in turns:
        context = turn.request.context
        context.backend_seconds += shared.backend_seconds
        context.queue_seconds += shared.queue_seconds
        context.tried += shared.tried
