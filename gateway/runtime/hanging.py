"""When a process counts as one that hangs: asked all the time, it has shown no sign of life for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

BEAT_SECONDS = 1.0
# Far beyond what holds an event loop up in good health: decoding a JSON body of 10 MB, a starved machine.
HUNG_SECONDS = 30.0
# For one that is aborted to write where it hangs.
LAST_WORDS_SECONDS = 2.0


async def until_hung(shows_life: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Return when ``shows_life`` has not given True for ``HUNG_SECONDS``; it is called again at the beat after its end.

    The seconds are counted in beats of this process, so that time in which both were stopped is held against nobody.
    """
    silent, sign = 0, asyncio.create_task(shows_life())
    try:
        while silent * BEAT_SECONDS < HUNG_SECONDS:
            await asyncio.sleep(BEAT_SECONDS)
            silent += 1
            if sign.done():
                silent = 0 if sign.result() else silent
                sign = asyncio.create_task(shows_life())
    finally:
        sign.cancel()
