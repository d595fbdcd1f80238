from __future__ import annotations

import asyncio

import pytest
import uvloop

from loadtest.clock import MonotonicClock, open_clock

MS = 1_000_000


async def alarm(clock: MonotonicClock, when: int) -> int:
    """The time at which an alarm for ``when`` rings."""
    rung: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    clock.call_at(when, lambda: rung.set_result(clock.now()))
    return await rung


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_wakes_between_the_milliseconds_of_the_loop_and_never_early(run: object) -> None:
    async def measure() -> list[int]:
        lags = []
        with open_clock() as clock:
            for _ in range(50):
                due = clock.now() + MS // 4
                lags.append(await alarm(clock, due) - due)
        return lags

    lags = sorted(run(measure()))  # type: ignore[operator]
    assert lags[0] >= 0
    assert lags[0] < MS // 2  # the loop's own timers would sleep a whole millisecond


def test_a_past_time_rings_soon_but_lets_others_run_first() -> None:
    async def measure() -> list[str]:
        order: list[str] = []
        rung = asyncio.Event()
        with open_clock() as clock:
            clock.call_at(clock.now() - MS, lambda: (order.append("alarm"), rung.set()))  # type: ignore[arg-type,func-returns-value]
            asyncio.get_running_loop().call_soon(order.append, "other")
            await rung.wait()
        return order

    assert asyncio.run(measure()) == ["other", "alarm"]


def test_a_new_alarm_replaces_the_old_one() -> None:
    async def measure() -> list[str]:
        order: list[str] = []
        with open_clock() as clock:
            clock.call_at(clock.now() + MS, lambda: order.append("old"))
            await alarm(clock, clock.now() + 3 * MS)
        return order

    assert asyncio.run(measure()) == []
