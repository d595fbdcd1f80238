"""What runs on every host: a load generator on an event loop of its own, told what to do by blocking calls.

No method here is a coroutine: Ray would run all of them on one event loop, where ``stop`` would wait for what it is to
stop.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

from loadtest.clock import open_clock
from loadtest.distributed.measurer import Key, Measurer, Order, Part
from loadtest.measure.agreement import Outputs
from loadtest.measure.settings import Settings
from loadtest.measure.share import Share
from loadtest.payloads.workload import Workload
from loadtest.targets.target import Target

Result = TypeVar("Result")


class Worker:
    """Measures its ``share``. Methods may be called from any thread, and block until they are done."""

    def __init__(self, share: Share) -> None:
        ready: Future[tuple[asyncio.AbstractEventLoop, Measurer]] = Future()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: uvloop.run(_serve(share, ready, self._ended)), name="load generator", daemon=True
        )
        self._thread.start()
        self._loop, self._measurer = ready.result()

    def now(self) -> int:
        """The host's time of day in ns."""
        return time.time_ns()

    def process(self) -> int:
        """The process this runs in."""
        return os.getpid()

    def prepare(
        self, target: Target, workload: Workload, settings: Settings, first_payload: int
    ) -> tuple[tuple[Outputs, ...], str]:
        """Encode the payloads and learn the target's answers to them; the answers, and what is wrong with them."""
        return self._call(self._measurer.prepare(target, workload, settings, first_payload))

    def warm_up(self, subject: Key, concurrency: int) -> None:
        """Put this worker's callers of ``concurrency`` on the target until its times have settled."""
        self._call(self._measurer.warm_up(subject, concurrency))

    def measure(self, subject: Key, order: Order) -> Part:
        """Measure this worker's share of the load at the agreed moment; what there is when ``stop`` is called."""
        return self._call(self._measurer.measure(subject, order))

    def stop(self) -> None:
        """End the measurement that is under way."""
        self._loop.call_soon_threadsafe(self._measurer.stop)

    def disconnect(self, subject: Key) -> None:
        """Close the connections; the next measurement opens new ones."""
        self._call(self._measurer.disconnect(subject))

    def reappear(self, subject: Key) -> str:
        """Wait until a server that was started anew answers; a problem when it does not."""
        return self._call(self._measurer.reappear(subject))

    def close(self) -> None:
        """End the event loop and its thread; nothing may be called afterwards."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _call(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _serve(share: Share, ready: Future[tuple[asyncio.AbstractEventLoop, Measurer]], ended: asyncio.Event) -> None:
    with open_clock() as clock, open_clock() as lag_clock:
        measurer = Measurer(share, clock, lag_clock)
        ready.set_result((asyncio.get_running_loop(), measurer))
        await ended.wait()
        await measurer.close()
