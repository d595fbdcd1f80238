from __future__ import annotations

import asyncio

import pytest
import uvloop

from loadtest.clock import open_clock

MS = 1_000_000


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_wakes_between_the_milliseconds_of_the_loop_and_never_early(run: object) -> None:
    async def measure() -> list[int]:
        lags = []
        with open_clock() as clock:
            for _ in range(50):
                due = clock.now() + MS // 4
                await clock.sleep_until(due)
                lags.append(clock.now() - due)
        return lags

    lags = sorted(run(measure()))  # type: ignore[operator]
    assert lags[0] >= 0
    assert lags[0] < MS // 2  # the loop's own timers would sleep a whole millisecond


def test_past_times_let_others_run_but_do_not_wait() -> None:
    async def measure() -> None:
        ran = asyncio.Event()
        with open_clock() as clock:
            task = asyncio.create_task(set_event(ran))
            await clock.sleep_until(clock.now() - MS)
            assert ran.is_set()
            await task

    async def set_event(event: asyncio.Event) -> None:
        event.set()

    asyncio.run(measure())
