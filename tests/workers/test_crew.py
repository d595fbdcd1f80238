import asyncio

import pytest
from support.played_workers import PlayedWorkers
from support.virtual_time import run_virtual

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig, Listener
from gateway.core.log_settings import LogSettings
from gateway.workers.crew import Crew
from gateway.workers.process import WorkerFailed

SHARED = {"http": Listener(port=1234), "grpc": Listener(port=1235)}


@pytest.fixture
def started(monkeypatch):
    return PlayedWorkers(monkeypatch)


def config(timeout=1.0, workers=3):
    return GatewayConfig.model_validate(
        {"backends": {}, "workers": workers, "default_timeout": timeout, "drain": {"grace": 1, "timeout": 20}}
    )


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def serving(started):
    crew = Crew(config(), SHARED)
    starting = asyncio.ensure_future(crew.start())
    await settle()
    for worker in started:
        worker.become_ready()
    await starting
    return crew


def counted(crew, state):
    return crew.metrics.registry.get_sample_value("gateway_workers", {"state": state})


def test_all_start_at_once_and_are_counted(started):
    async def scenario():
        crew = Crew(config(), SHARED)
        assert counted(crew, "starting") == 3
        starting = asyncio.ensure_future(crew.start())
        await settle()
        assert [worker.index for worker in started] == [0, 1, 2]
        assert {worker.told[0].http.port for worker in started} == {1234}
        for worker in started[:2]:
            worker.become_ready()
        await settle()
        assert not starting.done()
        assert [slot.index for slot in crew.ready] == [0, 1]
        started[2].become_ready()
        await starting
        assert (counted(crew, "starting"), counted(crew, "ready")) == (0, 3)
        started[1].end()
        await settle()
        assert (counted(crew, "ready"), counted(crew, "restarting")) == (2, 1)
        await asyncio.sleep(1)
        assert crew.metrics.registry.get_sample_value("gateway_worker_restarts_total", {"reason": "crashed"}) == 1
        assert crew.metrics.registry.get_sample_value("gateway_worker_restarts_total", {"reason": "hung"}) == 0
        await crew.stop()
        assert counted(crew, "stopped") == 3

    run_virtual(scenario())


def test_one_that_cannot_start_ends_the_start_and_none_is_left(started):
    async def scenario():
        crew = Crew(config(), SHARED)
        starting = asyncio.ensure_future(crew.start())
        await settle()
        started[0].become_ready()
        started[1].fail("model store: empty", 1)
        with pytest.raises(WorkerFailed, match="model store: empty"):
            await starting
        await crew.stop()
        assert started[0].drained
        assert started[2].killed
        await asyncio.sleep(100)
        assert len(started) == 3

    run_virtual(scenario())


def test_a_change_reaches_all_and_those_who_come_later(started):
    async def scenario():
        crew = await serving(started)
        started[2].end()
        await settle()
        await crew.obey(config(2))
        assert [worker.told[-1].default_timeout for worker in started] == [2, 2, 1]
        await asyncio.sleep(1)
        assert (started[3].index, started[3].told[0].default_timeout) == (2, 2)
        assert started[3].told[0].http.port == 1234
        await crew.stop()

    run_virtual(scenario())


def test_what_the_first_refuses_the_others_never_hear_of(started):
    async def scenario():
        crew = await serving(started)
        started[0].refusal = "labels: no such version"
        with pytest.raises(ConfigError, match="labels: no such version"):
            await crew.obey(config(2))
        assert [len(worker.told) for worker in started] == [2, 1, 1]
        started[1].end()
        await asyncio.sleep(1)
        assert started[3].told[0].default_timeout == 1
        await crew.stop()

    run_virtual(scenario())


def test_one_that_alone_refuses_is_replaced(started):
    async def scenario():
        crew = await serving(started)
        started[1].refusal = "it ended meanwhile"
        await crew.obey(config(2))
        assert [worker.drained for worker in started] == [False, True, False]
        await asyncio.sleep(1)
        assert (started[3].index, started[3].told[0].default_timeout) == (1, 2)
        await crew.stop()

    run_virtual(scenario())


def test_a_change_while_nobody_serves_is_for_those_who_come(started):
    async def scenario():
        crew = Crew(config(), SHARED)
        starting = asyncio.ensure_future(crew.start())
        await settle()
        await crew.obey(config(2))
        for worker in started:
            worker.become_ready()
        await starting
        assert [worker.told[-1].default_timeout for worker in started] == [2, 2, 2]
        await crew.stop()

    run_virtual(scenario())


def test_which_logs_are_written_reaches_all_and_those_who_come_later(started):
    async def scenario():
        crew = await serving(started)
        quiet = LogSettings(info=False)
        await crew.write_logs(quiet)
        assert [worker.logs for worker in started] == [quiet] * 3
        started[1].end()
        await asyncio.sleep(1)
        started[3].become_ready()
        await settle()
        assert started[3].logs == quiet
        await crew.stop()

    run_virtual(scenario())


def test_only_who_takes_the_place_of_another_is_greeted(started):
    async def scenario():
        crew = await serving(started)
        greeted = []

        async def greet(slot):
            greeted.append(slot.index)

        crew.greetings.append(greet)
        started[1].end()
        await asyncio.sleep(1)
        assert greeted == []
        started[3].become_ready()
        await settle()
        assert greeted == [1]
        await crew.stop()

    run_virtual(scenario())


def test_a_drain_has_the_time_that_the_settings_give_it(started):
    async def scenario():
        crew = await serving(started)
        for worker in started:
            worker.hangs = True
        before = asyncio.get_running_loop().time()
        await crew.stop()
        assert asyncio.get_running_loop().time() - before == 26  # grace, timeout and a margin, once for all
        assert all(worker.drained and worker.killed for worker in started)

    run_virtual(scenario())


def test_kill_waits_for_nothing(started):
    async def scenario():
        crew = await serving(started)
        for worker in started:
            worker.hangs = True
        stopping = asyncio.ensure_future(crew.stop())
        await asyncio.sleep(1)
        crew.kill()
        await settle()
        assert stopping.done()
        await stopping

    run_virtual(scenario())
