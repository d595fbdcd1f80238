"""Work that nobody waits for: bounded in bytes, and over with the process."""

import asyncio
import gc

import pytest
from support.virtual_time import run_virtual

from gateway.core.copies import Copies


async def sleep(log, seconds=1.0, error=None):
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        log.append("cancelled")
        raise
    if error is not None:
        raise error
    log.append("done")


def test_bytes_are_held_until_the_end_whichever_it_is():
    async def scenario():
        copies, log = Copies(100), []
        for error in (None, RuntimeError("told to nobody")):
            copies.begin(sleep(log, error=error), 30)
        gone = copies.begin(sleep(log), 40)
        assert (copies.held, len(copies)) == (100, 3)
        assert not copies.has_room(1)
        gone.cancel()
        await asyncio.sleep(0.5)
        assert copies.held == 60
        assert copies.has_room(40)
        await asyncio.sleep(1)
        assert (copies.held, len(copies)) == (0, 0)
        assert log == ["done"]

    run_virtual(scenario())


def test_an_error_that_nobody_hears_is_no_warning(caplog):
    async def scenario():
        copies = Copies(100)
        copies.begin(sleep([], 0.1, RuntimeError("told to nobody")), 1)
        await asyncio.sleep(1)

    run_virtual(scenario())
    gc.collect()
    assert not caplog.records


def test_closing_cancels_and_lets_nothing_begin():
    async def scenario():
        copies, log = Copies(100), []
        copies.begin(sleep(log, 3600), 1)
        copies.begin(sleep(log, 3600), 1)
        await asyncio.sleep(0)
        await copies.close()
        assert log == ["cancelled"] * 2
        assert not copies.has_room(0)
        assert copies.held == 0
        await copies.close()
        assert asyncio.get_running_loop().time() == pytest.approx(0)

    run_virtual(scenario())
