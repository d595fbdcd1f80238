import asyncio
import collections

import pytest
from structlog.testing import capture_logs
from support.played_workers import PlayedWorkers
from support.virtual_time import run_virtual

from gateway.config.settings import GatewayConfig
from gateway.core.log_settings import LogSettings
from gateway.workers.process import WorkerFailed
from gateway.workers.worker_slot import START_SECONDS, WorkerSlot


@pytest.fixture
def started(monkeypatch):
    return PlayedWorkers(monkeypatch)


def config(timeout=1.0):
    return GatewayConfig.model_validate({"backends": {}, "workers": 2, "default_timeout": timeout})


FIRST, SECOND, THIRD = config(1), config(2), config(3)


class Place:
    """A slot with its first worker on the way."""

    def __init__(self, started):
        self.restarted = collections.Counter()
        self.rejoined = []
        self.slot = WorkerSlot(0, FIRST, self._count, self._rejoin)
        self.starting = asyncio.ensure_future(self.slot.start())
        self._started = started

    def _count(self, reason):
        self.restarted[reason] += 1

    async def _rejoin(self, slot):
        assert slot.state == "ready"
        self.rejoined.append(slot.pid)

    async def serve(self):
        await settle()
        self._started[-1].become_ready()
        await self.starting
        return self


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def test_it_is_ready_when_the_worker_says_so(started):
    async def scenario():
        place = Place(started)
        await settle()
        assert (place.slot.state, place.slot.addresses, place.slot.pid) == ("starting", {}, 100)
        await place.serve()
        assert (place.slot.state, place.slot.addresses["admin"]) == ("ready", "a0")
        assert started[0].told == [FIRST]
        await place.slot.stop(1)
        assert (place.slot.state, place.slot.pid) == ("stopped", None)

    run_virtual(scenario())


def test_a_first_worker_that_fails_is_not_tried_again(started):
    async def scenario():
        place = Place(started)
        await settle()
        started[0].fail("models: none", 2)
        with pytest.raises(WorkerFailed, match="models: none") as failure:
            await place.starting
        assert failure.value.code == 2
        await asyncio.sleep(1000)
        assert len(started) == 1
        await place.slot.stop(1)

    run_virtual(scenario())


def test_one_that_dies_is_replaced_ever_later_while_it_keeps_dying(started):
    async def scenario():
        place = await Place(started).serve()
        loop, waits = asyncio.get_running_loop(), []
        for run in range(8):
            number, since = len(started), loop.time()
            if run == 0:
                started[-1].end()
            else:
                started[-1].fail()
            await settle()
            assert (place.slot.state, place.slot.pid, place.slot.addresses) == ("restarting", None, {})
            while len(started) == number:
                await asyncio.sleep(0.1)
            waits.append(round(loop.time() - since, 1))
        assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30], abs=0.2)
        started[-1].become_ready()
        await settle()
        assert (place.slot.state, place.slot.restarts, place.restarted) == ("ready", 8, {"crashed": 8})
        assert place.rejoined == [108]
        await place.slot.stop(1)

    run_virtual(scenario())


def test_a_minute_of_health_starts_the_waits_over(started):
    async def scenario():
        place = await Place(started).serve()
        for _ in range(3):
            started[-1].end()
            await asyncio.sleep(30)
            started[-1].become_ready()
            await settle()
        await asyncio.sleep(61)
        started[-1].end()
        await asyncio.sleep(0.6)
        assert len(started) == 5
        await place.slot.stop(1)

    run_virtual(scenario())


def test_its_death_is_told(started):
    async def scenario():
        place = await Place(started).serve()
        with capture_logs() as logs:
            started[0].end(-9)
            await settle()
        (line,) = logs
        assert (line["event"], line["worker"], line["how"]) == ("worker ended", 0, "killed by SIGKILL")
        assert line["restart_in_s"] == 0.5
        await place.slot.stop(1)

    run_virtual(scenario())


def test_one_that_hangs_is_ended_at_once_and_replaced(started):
    async def scenario():
        place = await Place(started).serve()
        with capture_logs() as logs:
            started[0].hang()
            await settle()
            # It holds connections that nobody serves: nobody is sent there, and it is not drained.
            assert (place.slot.state, place.slot.addresses) == ("restarting", {})
            assert (started[0].aborted, started[0].drained) == (True, False)
            await asyncio.sleep(2)
        hangs, ended = logs
        assert (hangs["event"], hangs["worker"], hangs["pid"], hangs["silent_s"]) == ("worker hangs", 0, 100, 30)
        assert (ended["event"], ended["how"]) == ("worker ended", "killed by SIGABRT")
        started[1].become_ready()
        await settle()
        assert (place.slot.state, place.slot.restarts, place.restarted) == ("ready", 1, {"hung": 1})
        await place.slot.stop(1)

    run_virtual(scenario())


def test_one_that_hangs_before_it_serves_is_ended_and_replaced_ever_later(started):
    async def scenario():
        place = await Place(started).serve()
        started[0].end()
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        with capture_logs() as logs:
            since = loop.time()
            await asyncio.sleep(START_SECONDS - 2)
            assert (started[1].aborted, place.slot.state) == (False, "starting")
            while len(started) == 2:
                await asyncio.sleep(0.1)
            # To write its last words takes one second, and the second wait another.
            assert loop.time() - since == pytest.approx(START_SECONDS + 2, abs=1)
        hangs, ended = logs
        assert (hangs["event"], hangs["worker"], hangs["pid"], hangs["silent_s"]) == ("worker hangs", 0, 101, 600)
        assert ended["how"] == "a worker did not serve within 600 s: killed by SIGABRT"
        assert ended["restart_in_s"] == 1
        assert (started[1].aborted, place.restarted) == (True, {"crashed": 1, "hung": 1})
        started[2].become_ready()
        await settle()
        assert (place.slot.state, place.slot.restarts) == ("ready", 2)
        await place.slot.stop(1)

    run_virtual(scenario())


def test_a_first_worker_that_hangs_fails_the_start(started):
    async def scenario():
        place = Place(started)
        with pytest.raises(WorkerFailed, match="did not serve within 600 s: killed by SIGABRT") as failure:
            await place.starting
        assert (failure.value.code, started[0].aborted, len(started)) == (1, True, 1)
        await place.slot.stop(1)

    run_virtual(scenario())


def test_a_stop_while_one_that_hangs_is_ended(started):
    async def scenario():
        place = await Place(started).serve()
        started[0].hang()
        await settle()
        await place.slot.stop(30)
        assert (started[0].killed, place.slot.state) == (True, "stopped")
        await asyncio.sleep(100)
        assert len(started) == 1

    run_virtual(scenario())


def test_one_that_drained_by_itself_is_counted_apart(started):
    async def scenario():
        place = await Place(started).serve()
        started[0].end(0)
        await asyncio.sleep(1)
        assert place.restarted == {"ended": 1}
        started[1].fail()
        await asyncio.sleep(1.5)
        assert place.restarted == {"ended": 1, "crashed": 1}
        await place.slot.stop(1)

    run_virtual(scenario())


def test_which_logs_are_written_is_told_to_the_worker_and_those_after_it(started):
    async def scenario():
        place = await Place(started).serve()
        assert started[0].logs is None
        quiet, quieter = LogSettings(info=False), LogSettings(info=False, warning=False)
        await place.slot.write_logs(quiet)
        assert started[0].logs == quiet
        started[0].end()
        await asyncio.sleep(1)
        started[1].become_ready()
        await settle()
        assert (place.slot.state, started[1].logs) == ("ready", quiet)
        started[1].end()
        await asyncio.sleep(2)
        await place.slot.write_logs(quieter)  # while it starts
        started[2].become_ready()
        await settle()
        assert (place.slot.state, started[2].logs) == ("ready", quieter)
        await place.slot.stop(1)

    run_virtual(scenario())


def test_new_settings_reach_the_worker_and_those_after_it(started):
    async def scenario():
        place = await Place(started).serve()
        assert await place.slot.configure(SECOND) == ""
        assert started[0].told == [FIRST, SECOND]
        started[0].end()
        await asyncio.sleep(1)
        assert started[1].told == [SECOND]
        await place.slot.stop(1)

    run_virtual(scenario())


def test_refused_settings_reach_nobody_later(started):
    async def scenario():
        place = await Place(started).serve()
        started[0].refusal = "labels: no"
        assert await place.slot.configure(SECOND) == "labels: no"
        started[0].end()
        await asyncio.sleep(1)
        assert started[1].told == [FIRST]
        await place.slot.stop(1)

    run_virtual(scenario())


def test_settings_that_change_while_it_starts_reach_it_before_it_is_ready(started):
    async def scenario():
        place = Place(started)
        await settle()
        assert await place.slot.configure(SECOND) == ""
        assert await place.slot.configure(THIRD) == ""
        await place.serve()
        assert started[0].told == [FIRST, THIRD]
        await place.slot.stop(1)

    run_virtual(scenario())


def test_replace_drains_the_worker_and_starts_one_with_other_settings(started):
    async def scenario():
        place = await Place(started).serve()
        place.slot.replace(SECOND)
        await asyncio.sleep(1)
        assert started[0].drained
        assert not started[0].killed
        assert started[1].told == [SECOND]
        await place.slot.stop(1)

    run_virtual(scenario())


def test_a_ready_worker_is_drained_and_killed_only_when_it_takes_too_long(started):
    async def scenario():
        place = await Place(started).serve()
        started[0].hangs = True
        stopping = asyncio.ensure_future(place.slot.stop(30))
        await asyncio.sleep(29)
        assert (started[0].drained, started[0].killed, place.slot.state) == (True, False, "stopping")
        await asyncio.sleep(2)
        assert started[0].killed
        await stopping
        await asyncio.sleep(100)
        assert len(started) == 1

    run_virtual(scenario())


@pytest.mark.parametrize("died", [False, True])
def test_one_that_does_not_serve_is_killed_at_once(started, died):
    async def scenario():
        place = await Place(started).serve()
        started[0].end()
        await asyncio.sleep(0.1 if died else 1)
        before = asyncio.get_running_loop().time()
        await place.slot.stop(30)
        assert asyncio.get_running_loop().time() == before
        if not died:
            assert (started[1].killed, started[1].drained) == (True, False)
        await asyncio.sleep(100)
        assert len(started) == (1 if died else 2)
        assert place.slot.state == "stopped"

    run_virtual(scenario())
