import asyncio

from gateway.core.in_flight import InFlight


def test_idle_waits_for_the_last_to_leave():
    async def scenario():
        under_way = InFlight()
        await under_way.idle()
        under_way.enter()
        under_way.enter()
        waiting = [asyncio.create_task(under_way.idle()) for _ in range(2)]
        await asyncio.sleep(0)
        under_way.leave()
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        under_way.leave()
        await asyncio.gather(*waiting)

    asyncio.run(asyncio.wait_for(scenario(), 5))


def test_who_comes_while_the_last_leaves_is_waited_for_too():
    async def scenario():
        under_way = InFlight()
        under_way.enter()
        waiting = asyncio.create_task(under_way.idle())
        await asyncio.sleep(0)
        under_way.leave()
        under_way.enter()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
        under_way.leave()
        await waiting

    asyncio.run(asyncio.wait_for(scenario(), 5))
