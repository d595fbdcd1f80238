import asyncio

from support.virtual_time import run_virtual

from gateway.core.expiry import Expiry


async def expire(seconds, work):
    loop = asyncio.get_running_loop()
    with Expiry(loop, loop.time() + seconds):
        return await work


async def outcome(work):
    """What came of it, and after how long."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        result = await work
    except BaseException as error:
        result = type(error)
    return result, loop.time() - start


def test_what_is_done_in_time_is_left_alone():
    async def scene():
        assert await outcome(expire(5, asyncio.sleep(4, "done"))) == ("done", 4)
        await asyncio.sleep(10)  # nothing rings any more

    run_virtual(scene())


def test_what_is_not_is_cancelled():
    async def scene():
        assert await outcome(expire(5, asyncio.sleep(6))) == (TimeoutError, 5)
        assert not asyncio.current_task().cancelling()

    run_virtual(scene())


def test_a_time_that_is_over_leaves_one_step():
    async def scene():
        assert await outcome(expire(-1, asyncio.sleep(6))) == (TimeoutError, 0)

    run_virtual(scene())


def test_the_first_of_two_counts():
    async def scene():
        for outer, inner in ((3, 5), (5, 3)):
            assert await outcome(expire(outer, expire(inner, asyncio.sleep(6)))) == (TimeoutError, 3)

    run_virtual(scene())


def test_who_cancels_the_task_gets_a_cancelled_task():
    async def scene():
        task = asyncio.create_task(expire(5, asyncio.sleep(10)))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(4, task.cancel)
        assert await outcome(task) == (asyncio.CancelledError, 4)
        assert task.cancelled()

    run_virtual(scene())


def test_a_cancellation_in_the_same_moment_is_not_lost():
    async def scene():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(expire(5, asyncio.sleep(10)))
        await asyncio.sleep(0)
        loop.call_later(5, task.cancel)
        assert await outcome(task) == (asyncio.CancelledError, 5)

    run_virtual(scene())


def test_an_error_of_the_work_stays_what_it_is():
    async def fail():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise ValueError from None

    async def scene():
        assert await outcome(expire(5, fail())) == (ValueError, 5)
        assert not asyncio.current_task().cancelling()

    run_virtual(scene())
