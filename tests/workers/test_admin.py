"""The parent's admin port, in front of workers that a test plays."""

import asyncio
import contextlib
import gzip
import json
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from gateway.core.limits import Limits
from gateway.core.log_settings import LogSettings
from gateway.frontends.authorization import Authorization
from gateway.frontends.http_server import HTTPServer
from gateway.telemetry.logs import LOGS
from gateway.workers import asking
from gateway.workers.admin import admin_app
from gateway.workers.admin_logging import logging_routes
from gateway.workers.asking import WorkerClient
from gateway.workers.forward import Forward
from gateway.workers.worker_slot import WorkerState

HERE = Authorization(loopback=True)


@dataclass
class Slot:
    index: int
    addresses: dict
    state: WorkerState = WorkerState.READY
    pid: int = 7
    restarts: int = 0


class PlayedConfig:
    def shown(self):
        return {"default_timeout": 1}


@dataclass
class Crew:
    slots: list = field(default_factory=list)
    logs: LogSettings | None = None

    async def write_logs(self, logs):
        self.logs = logs

    @property
    def ready(self):
        return [slot for slot in self.slots if slot.state is WorkerState.READY]


class PlayedAdmin:
    """The admin port of a worker: answers everything with ``status`` and ``body``, and keeps what it was asked.

    One that ``hangs`` does not answer.
    """

    def __init__(self, status=200, body=b"{}", headers=None, hangs=False):
        self.status, self.body, self.headers, self.hangs = status, body, headers or {}, hangs
        self.asked = []

    async def answer(self, request):
        self.asked.append((request.method, request.raw_path, dict(request.headers), await request.read()))
        if self.hangs:
            await asyncio.sleep(3600)
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@contextlib.asynccontextmanager
async def parent(*workers, authorization=HERE, stopping=False, limits=Limits()):
    """Yields what asks the admin port, and the crew."""
    async with contextlib.AsyncExitStack() as stack:
        crew = Crew()
        for index, worker in enumerate(workers):
            runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
            runner.app.router.add_route("*", "/{anything:.*}", worker.answer)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0]
            crew.slots.append(Slot(index, {"metrics": "m", "admin": f"{host}:{port}"}))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        workers = WorkerClient(session)
        forward = Forward(crew, workers, authorization, limits)
        logging = logging_routes(crew, authorization)
        app = admin_app(crew, PlayedConfig(), workers, authorization, logging, forward, lambda: stopping, limits)
        server = HTTPServer(app, drain_timeout=1, limits=limits)
        port = server.bind("127.0.0.1", 0)
        await server.start()
        stack.push_async_callback(server.stop)
        client = await stack.enter_async_context(aiohttp.ClientSession())

        async def ask(method, path, **options):
            url = aiohttp.client.URL(f"http://127.0.0.1:{port}{path}", encoded=True)
            async with client.request(method, url, **options) as answer:
                return answer.status, await answer.read(), answer.headers

        yield ask, crew


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, 20))


def test_a_question_goes_to_one_worker_as_it_came():
    async def scenario():
        workers = [PlayedAdmin(404, b"no", {"x-some": "thing"}), PlayedAdmin()]
        async with parent(*workers) as (ask, _):
            status, body, headers = await ask("GET", "/v2/a%2Fb%2Dc?x=%20y", headers={"x-mine": "1"})
            assert (status, body, headers["x-some"]) == (404, b"no", "thing")
        ((method, path, seen, _),) = workers[0].asked
        assert (method, path, seen["x-mine"]) == ("GET", "/v2/a%2Fb%2Dc?x=%20y", "1")
        assert workers[1].asked == []

    run(scenario())


def test_an_order_goes_to_all_and_the_worst_answer_is_given():
    async def scenario():
        workers = [PlayedAdmin(), PlayedAdmin(409, b'{"error": "busy"}'), PlayedAdmin()]
        async with parent(*workers) as (ask, _):
            status, body, _ = await ask("POST", "/backends/b/replicas/refresh", data=b"some", headers={"x-mine": "1"})
            assert (status, json.loads(body)) == (409, {"error": "busy"})
        for worker in workers:
            ((method, path, headers, body),) = worker.asked
            assert (method, path, headers["x-mine"], body) == ("POST", "/backends/b/replicas/refresh", "1", b"some")

    run(scenario())


def test_nothing_is_asked_for_that_the_client_did_not_ask_for():
    async def scenario():
        worker = PlayedAdmin(body=gzip.compress(b"{}"), headers={"content-encoding": "gzip"})
        async with parent(worker) as (ask, _):
            bare = ("Accept-Encoding", "User-Agent", "Accept")
            _, _, headers = await ask("GET", "/v2", skip_auto_headers=bare)
            assert not {"Accept-Encoding", "User-Agent", "Accept"} & worker.asked[0][2].keys()
            assert headers["content-encoding"] == "gzip"
            assert (await ask("GET", "/v2"))[1] == b"{}"

    run(scenario())


def test_only_administrators_reach_the_workers_but_for_what_is_open():
    async def scenario():
        worker = PlayedAdmin()
        async with parent(worker, authorization=Authorization("secret")) as (ask, _):
            for path in ("/livez", "/readyz", "/workers", "/backends", "/shadow"):
                assert (await ask("GET", path))[0] == 200
            worker.asked.clear()
            for method, path in (
                ("GET", "/v2"),
                ("POST", "/backends"),
                ("POST", "/v2/logging"),
                ("GET", "/backends/"),
                ("GET", "/backends/../config"),
                ("GET", "/config"),
            ):
                status, body, _ = await ask(method, path)
                assert (status, b"token" in body) == (401, True), path
            assert worker.asked == []
            path = "/v2/repository/models/m/load"
            assert (await ask("POST", path, headers={"authorization": "Bearer secret"}))[0] == 200
            assert len(worker.asked) == 1

    run(scenario())


def test_workers_that_are_away():
    async def scenario():
        worker = PlayedAdmin(body=b"me")
        async with parent(PlayedAdmin(), worker) as (ask, crew):
            crew.slots[0].addresses["admin"] = "127.0.0.1:9"
            assert (await ask("GET", "/v2"))[1] == b"me"
            status, body, _ = await ask("POST", "/v2")
            assert (status, b"no answer of worker 0;" in body) == (503, True)
            crew.slots[0].state = WorkerState.RESTARTING
            assert (await ask("POST", "/v2"))[:2] == (200, b"me")
            assert (await ask("GET", "/readyz"))[0] == 200
            crew.slots[1].state = WorkerState.RESTARTING
            for method in ("GET", "POST"):
                assert (await ask(method, "/v2"))[:2] == (503, b'{"error":"no worker is ready"}')
            assert (await ask("GET", "/readyz"))[0] == 503

    run(scenario())


def test_one_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(asking, "_QUESTION", aiohttp.ClientTimeout(sock_read=0.05))

    async def scenario():
        async with parent(PlayedAdmin(hangs=True), PlayedAdmin(body=b'{"m": {}}')) as (ask, _):
            for path in ("/v2", "/shadow"):
                _, body, headers = await ask("GET", path)
                assert (json.loads(body), headers["x-gateway-worker"]) == ({"m": {}}, "1")

    run(scenario())


def test_a_body_over_the_limit_reaches_nobody():
    async def scenario():
        worker = PlayedAdmin()
        async with parent(worker, limits=Limits(body_bytes=10)) as (ask, _):
            assert (await ask("POST", "/v2", data=b"x" * 11))[0] == 413
        assert worker.asked == []

    run(scenario())


@pytest.mark.parametrize(
    ("answers", "stopping", "status"),
    [((503, 200), False, 200), ((503, 503), False, 503), ((200, 200), True, 503), ((), False, 503)],
)
def test_it_is_ready_as_long_as_a_worker_is_and_none_stops(answers, stopping, status):
    async def scenario():
        async with parent(*map(PlayedAdmin, answers), stopping=stopping) as (ask, _):
            told = await ask("GET", "/readyz")
            assert (told[0], json.loads(told[1])) == (status, {"ready": status == 200})

    run(scenario())


def test_the_workers_are_listed():
    async def scenario():
        async with parent(PlayedAdmin(), PlayedAdmin()) as (ask, crew):
            crew.slots[1] = Slot(1, {}, WorkerState.RESTARTING, None, 3)
            told = json.loads((await ask("GET", "/workers"))[1])["workers"]
            assert told[0] == {"worker": 0, "state": "ready", "pid": 7, "restarts": 0, **crew.slots[0].addresses}
            assert told[1] == {"worker": 1, "state": "restarting", "pid": None, "restarts": 3}

    run(scenario())


def test_an_answer_says_whose_it_is():
    async def scenario():
        async with parent(PlayedAdmin(), PlayedAdmin(500), PlayedAdmin(body=b'{"m/1": {}}')) as (ask, crew):
            crew.slots[0].state = WorkerState.RESTARTING
            assert (await ask("GET", "/v2"))[2]["x-gateway-worker"] == "1"
            assert (await ask("POST", "/backends/b/replicas/refresh"))[2]["x-gateway-worker"] == "1"
            status, body, headers = await ask("GET", "/shadow")
            assert (status, body, headers["x-gateway-worker"]) == (200, b'{"m/1":{}}', "2")

    run(scenario())


def test_what_all_have_a_share_of_is_asked_of_all():
    async def scenario():
        shares = [
            PlayedAdmin(body=json.dumps({"m/1": {"t": {"requests": {"ok": ok}}}}).encode()) for ok in (1, 20, 300)
        ]
        async with parent(*shares) as (ask, crew):
            for options in ({}, {"headers": {"accept-encoding": "gzip"}}):
                _, body, headers = await ask("GET", "/shadow", **options)
                assert json.loads(body) == {"m/1": {"t": {"requests": {"ok": 321}}}}
                assert headers["x-gateway-worker"] == "0,1,2"
            assert "accept-encoding" not in {name.lower() for name in shares[0].asked[-1][2]}
            assert (await ask("HEAD", "/shadow"))[:2] == (200, b"")
            crew.slots[1].addresses["admin"] = "127.0.0.1:9"
            _, body, headers = await ask("GET", "/shadow")
            assert json.loads(body) == {"m/1": {"t": {"requests": {"ok": 301}}}}
            assert headers["x-gateway-worker"] == "0,2"

    run(scenario())


def test_what_no_worker_can_answer_is_answered_as_they_do():
    async def scenario():
        async with parent(PlayedAdmin(404, b'{"error": "no m"}'), PlayedAdmin(404, b'{"error": "no m"}')) as (ask, _):
            assert (await ask("GET", "/v2/models/m/stats"))[:2] == (404, b'{"error": "no m"}')

    run(scenario())


def test_a_sample_comes_from_the_worker_that_keeps_it():
    async def scenario():
        named = {"content-disposition": 'attachment; filename="shadow-3.npz"'}
        workers = [PlayedAdmin(body=f'[{{"number": 3, "at": {at}}}]'.encode(), headers=named) for at in (6, 7)]
        async with parent(*workers) as (ask, _):
            first, second = json.loads((await ask("GET", "/shadow/samples"))[1])
            workers[0].status = 404
            assert (first["worker"], second["worker"]) == (0, 1)
            for worker in workers:
                worker.asked.clear()
            status, _, headers = await ask("GET", f"/shadow/samples/{second['number']}")
            assert (status, headers["x-gateway-worker"]) == (200, "1")
            assert headers["content-disposition"] == f'attachment; filename="shadow-{second["number"]}.npz"'
            assert (workers[0].asked, workers[1].asked[0][1]) == ([], "/shadow/samples/3")
            status, body, _ = await ask("GET", f"/shadow/samples/{first['number']}")
            assert (status, f"sample {first['number']} is not kept" in body.decode()) == (404, True)

    run(scenario())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/models/m/infer"),
        ("POST", "/v2/repository/index"),
        ("POST", "/v1/models/m/versions/1:predict"),
        ("PUT", "/predictions/m"),
    ],
)
def test_what_is_no_order_is_done_once(method, path):
    async def scenario():
        workers = [PlayedAdmin(), PlayedAdmin()]
        async with parent(*workers) as (ask, _):
            assert (await ask(method, path, data=b"{}"))[0] == 200
        assert [len(worker.asked) for worker in workers] == [1, 0]

    run(scenario())


def test_which_logs_are_written_is_told_to_all_and_kept():
    async def scenario():
        worker = PlayedAdmin()
        async with parent(worker, limits=Limits(body_bytes=100)) as (ask, crew):
            status, body, _ = await ask("POST", "/v2/logging", data=b'{"log_info": false}')
            assert (status, json.loads(body)["log_info"]) == (200, False)
            assert crew.logs == LogSettings(info=False)
            assert json.loads((await ask("GET", "/v2/logging"))[1])["log_info"] is False
            assert (await ask("POST", "/v2/logging", data=b'{"log_colour": 1}'))[0] == 400
            assert (await ask("POST", "/v2/logging", data=b" " * 101))[0] == 413
            assert crew.logs == LogSettings(info=False)
        assert worker.asked == []
        async with parent(authorization=Authorization("secret")) as (ask, _):
            for method in ("GET", "POST"):
                assert (await ask(method, "/v2/logging"))[0] == 401

    try:
        run(scenario())
    finally:
        LOGS.change(LogSettings())
