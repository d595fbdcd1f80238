"""When a process counts as one that hangs, on a virtual clock."""

import asyncio

import pytest
from support.virtual_time import run_virtual

from gateway.runtime.hanging import HUNG_SECONDS, until_hung


class Signs:
    """Of a process: each comes, or is missed, ``late`` seconds after it was asked for."""

    def __init__(self, late, lives):
        self.late, self.lives = late, lives
        self.asked = 0

    async def __call__(self):
        self.asked += 1
        await asyncio.sleep(self.late)
        return self.lives


async def seconds_until_hung(signs, limit):
    loop = asyncio.get_running_loop()
    since = loop.time()
    try:
        async with asyncio.timeout(limit):
            await until_hung(signs)
    except TimeoutError:
        return None
    return loop.time() - since


@pytest.mark.parametrize(("late", "asked"), [(0, 30), (HUNG_SECONDS / 2 - 0.5, 2), (1000, 1)])
def test_one_that_shows_no_life_hangs_after_a_while(late, asked):
    async def scenario():
        signs = Signs(late, lives=False)
        assert await seconds_until_hung(signs, 100) == HUNG_SECONDS
        assert signs.asked in (asked, asked + 1)

    run_virtual(scenario())


@pytest.mark.parametrize("late", [0, 3, HUNG_SECONDS - 2])
def test_one_that_is_late_does_not_hang(late):
    async def scenario():
        assert await seconds_until_hung(Signs(late, lives=True), 500) is None

    run_virtual(scenario())


def test_one_sign_of_life_starts_the_count_over():
    async def scenario():
        signs = Signs(0, lives=False)
        hung = asyncio.ensure_future(until_hung(signs))
        await asyncio.sleep(HUNG_SECONDS - 2.5)
        signs.lives = True
        await asyncio.sleep(1)
        signs.lives = False
        await asyncio.sleep(HUNG_SECONDS - 2.5)
        assert not hung.done()
        await asyncio.sleep(5)
        assert hung.done()

    run_virtual(scenario())


def test_time_in_which_both_stood_still_does_not_count():
    async def scenario():
        hung = asyncio.ensure_future(until_hung(Signs(1000, lives=False)))
        await asyncio.sleep(20)
        asyncio.get_running_loop().stand_still(3600)
        await asyncio.sleep(5)
        assert not hung.done()
        await asyncio.sleep(10)
        assert hung.done()

    run_virtual(scenario())


def test_an_error_of_the_question_is_not_taken_for_silence():
    async def broken():
        raise KeyError("ours")

    async def scenario():
        with pytest.raises(KeyError):
            await until_hung(broken)

    run_virtual(scenario())
