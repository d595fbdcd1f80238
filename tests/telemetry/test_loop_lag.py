"""The probe of the event loop, in virtual time: what blocks the loop is a clock that jumps while callbacks run."""

import asyncio

import pytest
from support.virtual_time import run_virtual

from gateway.telemetry.loop_lag import LoopLag


def lags(blocked):
    """What the probe tells of a second in which the loop is ``blocked`` once, for so many seconds, after 0.25 s."""

    async def run():
        loop = asyncio.get_running_loop()
        told, lost = [], [0.0]
        probe = LoopLag(told.append, clock=lambda: loop.time() + lost[0])
        probe.start()
        loop.call_later(0.25, lost.__setitem__, 0, blocked)
        await asyncio.sleep(1.05)
        probe.stop()
        await asyncio.sleep(1)
        return told

    return run_virtual(run())


def test_a_loop_that_runs_on_time_has_no_lag():
    assert lags(0.0) == pytest.approx([0.0] * 10)


def test_what_blocks_the_loop_is_seen_once_and_in_full():
    told = lags(3.0)
    assert told == pytest.approx([0, 0, 3.0, *[0] * 7])
