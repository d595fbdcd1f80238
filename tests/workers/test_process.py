"""When a worker counts as one that hangs, on a virtual clock."""

import asyncio

import pytest
from support.virtual_time import run_virtual

from gateway.config.settings import GatewayConfig
from gateway.core.log_settings import LogSettings
from gateway.runtime.hanging import HUNG_SECONDS
from gateway.workers.messages import Alive, Beat, WriteLogs, decode, encode
from gateway.workers.process import WorkerProcess

SETTINGS = GatewayConfig.model_validate({"backends": {}})


class PlayedProcess:
    """Answers each order ``late`` seconds after it came; never, when that is None."""

    def __init__(self, late):
        self.late = late
        self.orders = []
        self.killed = False
        self.stdin, self.stdout = self, asyncio.StreamReader()

    def write(self, line):
        self.orders.append(decode(line))
        if self.late is not None:
            asyncio.get_running_loop().call_later(self.late, self.stdout.feed_data, encode(Alive()))

    async def drain(self):
        pass

    def kill(self):
        self.killed = True


async def seconds_until_hung(process, limit):
    loop = asyncio.get_running_loop()
    since = loop.time()
    try:
        async with asyncio.timeout(limit):
            await WorkerProcess(process).until_hung()
    except TimeoutError:
        return None
    return loop.time() - since


def test_one_that_shows_no_life_hangs_after_a_while():
    async def scenario():
        process = PlayedProcess(None)
        assert await seconds_until_hung(process, 100) == pytest.approx(HUNG_SECONDS, abs=1.1)
        assert process.orders == [Beat()]  # what nobody reads does not pile up

    run_virtual(scenario())


@pytest.mark.parametrize("late", [0, 3, HUNG_SECONDS - 2])
def test_one_that_is_late_does_not_hang(late):
    async def scenario():
        process = PlayedProcess(late)
        assert await seconds_until_hung(process, 500) is None
        assert len(process.orders) >= 500 / (late + 2) - 1
        process.late = None
        assert await seconds_until_hung(process, 500) is not None

    run_virtual(scenario())


def test_time_in_which_the_parent_stood_still_does_not_count():
    async def scenario():
        loop = asyncio.get_running_loop()
        process = PlayedProcess(None)
        hung = asyncio.ensure_future(WorkerProcess(process).until_hung())
        await asyncio.sleep(20)
        loop.stand_still(3600)
        await asyncio.sleep(5)
        assert not hung.done()
        await asyncio.sleep(10)
        assert hung.done()

    run_virtual(scenario())


def test_orders_that_are_not_answered_end_it():
    async def scenario():
        process = PlayedProcess(None)
        loop = asyncio.get_running_loop()
        assert await WorkerProcess(process).configure(SETTINGS) == "no answer within 40 s"
        assert (loop.time(), process.killed) == (40, True)
        process = PlayedProcess(None)
        await WorkerProcess(process).write_logs(LogSettings())
        assert (loop.time(), process.killed) == (80, True)

    run_virtual(scenario())


def test_an_order_to_one_that_hangs_is_over_when_it_is_ended():
    async def scenario():
        process = PlayedProcess(None)
        worker = WorkerProcess(process)
        asked = asyncio.ensure_future(worker.configure(SETTINGS))
        await worker.until_hung()
        process.stdout.feed_eof()  # as it is ended
        assert await asked == "it ended meanwhile"
        assert not process.killed

    run_virtual(scenario())


def test_orders_and_signs_of_life_do_not_get_mixed_up():
    async def scenario():
        process = PlayedProcess(0.5)
        worker = WorkerProcess(process)
        watching = asyncio.ensure_future(worker.until_hung())
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        since = loop.time()
        await worker.write_logs(LogSettings(info=False))
        assert loop.time() - since == pytest.approx(0.9)  # the beat's answer first, then its own
        assert process.orders == [Beat(), WriteLogs(LogSettings(info=False))]
        watching.cancel()

    run_virtual(scenario())
