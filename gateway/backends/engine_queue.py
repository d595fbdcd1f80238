"""Which request a free engine takes next: the most urgent one, of equals the one that came first."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from gateway.core.errors import Overloaded, QueueTimeout, Unavailable
from gateway.core.messages import RequestContext
from gateway.core.tracing import child_span

T = TypeVar("T")


class EngineQueue:
    """Runs work in ``slots`` threads; what finds none free waits, at most ``capacity`` at a time.

    ``name`` is the backend's, for messages. Used by one event loop at a time.

    Attributes:
        capacity: how many may wait.
    """

    def __init__(self, name: str, *, slots: int, capacity: int) -> None:
        self._name = name
        self.capacity = capacity
        self._free = slots  # none is free while somebody waits
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix=f"engine-{name}")
        # Level → those that wait, in order of arrival, each with the time at which it gives up.
        self._waiting: dict[float, dict[asyncio.Future[None], float]] = {}
        self._heard: Callable[[float], None] = lambda _: None

    @property
    def depth(self) -> int:
        """How many wait now."""
        return sum(map(len, self._waiting.values()))

    def tell_waits(self, heard: Callable[[float], None]) -> None:
        """Call ``heard`` with the seconds that each request has waited, 0 for one that need not; also if it gave up."""
        self._heard = heard

    async def run(self, context: RequestContext, work: Callable[[], T]) -> T:
        """The result of ``work``, or what it raises; adds the time it waited to ``context.queue_seconds``.

        A caller that is cancelled while it waits never runs; one that is cancelled later leaves its thread busy until
        ``work`` ends.

        Raises:
            Overloaded: as many wait already as may.
            QueueTimeout: ``context.queue_timeout`` was over before a thread was free.
        """
        loop = asyncio.get_running_loop()
        if self._free:
            self._free -= 1
            self._heard(0.0)
        else:
            with child_span(context, "queue"):
                await self._turn(context, loop)
        done: asyncio.Future[T] = loop.create_future()
        try:
            self._pool.submit(self._work, loop, done, work)
        except RuntimeError:
            self._release()
            raise Unavailable(f"backend {self._name!r} is being closed") from None
        return await done

    def close(self) -> None:
        """Refuse those that wait, and all that come."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for waiting in self._waiting.values():
            for turn in waiting:
                if not turn.done():
                    turn.set_exception(Unavailable(f"backend {self._name!r} is being closed"))
        self._waiting.clear()

    async def _turn(self, context: RequestContext, loop: asyncio.AbstractEventLoop) -> None:
        if self.depth >= self.capacity:
            raise Overloaded(f"backend {self._name!r}: {self.capacity} requests wait for a free engine already")
        started = loop.time()
        allowed = context.queue_timeout
        level = context.level
        turn = loop.create_future()
        self._waiting.setdefault(level, {})[turn] = math.inf if allowed is None else started + allowed
        timer = None if allowed is None else loop.call_later(allowed, self._expire, level, turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:
                self._release()  # its turn came in the very moment
            raise
        finally:
            waited = loop.time() - started
            context.queue_seconds += waited
            self._heard(waited)
            self._forget(level, turn)
            if timer is not None:
                timer.cancel()

    def _release(self) -> None:
        """A thread is free: hand it to the next in turn."""
        while self._waiting:
            level = min(self._waiting)
            turn, gives_up = next(iter(self._waiting[level].items()))
            self._forget(level, turn)
            if turn.done():
                continue
            if turn.get_loop().time() < gives_up:
                turn.set_result(None)
                return
            self._expire(level, turn)
        self._free += 1

    def _expire(self, level: float, turn: asyncio.Future[None]) -> None:
        self._forget(level, turn)
        if not turn.done():
            turn.set_exception(QueueTimeout(f"backend {self._name!r}: the request's timeout expired in the queue"))

    def _forget(self, level: float, turn: asyncio.Future[None]) -> None:
        waiting = self._waiting.get(level, {})
        waiting.pop(turn, None)
        if not waiting:
            self._waiting.pop(level, None)

    def _work(self, loop: asyncio.AbstractEventLoop, done: asyncio.Future[Any], work: Callable[[], Any]) -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:
            error = caught
        try:
            loop.call_soon_threadsafe(self._finish, done, result, error)
        except RuntimeError:  # the loop is gone, and with it all that waited
            self._free += 1

    def _finish(self, done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._release()
        if done.done():  # nobody waits for it any more
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
