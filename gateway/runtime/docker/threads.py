"""Calls to the engine block: they run in threads, and nobody leaves before they have come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T], cancel: Callable[[], None] = lambda: None) -> T:
    """The result of ``work``, which runs in a thread; ``cancel`` is to hasten its end on cancellation.

    Cancellation is passed on once ``work`` has come to its end, so that what it made can be found and removed.
    """
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # nobody asks for it any more
        raise
