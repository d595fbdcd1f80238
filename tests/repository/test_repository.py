"""The repository with real gateways: one behind another, embedded engines, models that come, change and go."""

import asyncio
import contextlib
import socket
import weakref

import aiohttp
import numpy as np
import pytest
import uvloop
from aiohttp import web
from support.gateways import ENGINE, running, settings
from support.scaled_store import save_scaled

from gateway.client import ClientError, infer
from gateway.config.file import ConfigError
from gateway.core.errors import BackendError, Conflict, ModelNotFound, NoHealthyBackend, Unavailable, Unsupported
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.repository import ModelState
from gateway.core.tensors import Tensor

ONE = np.ones((1, 2), np.float32)


def repository(app):
    return app._repository


async def ask(app, name="scaled", version="", takes="x", **hints):
    """What one element of the input is multiplied by."""
    request = InferRequest(name, (Tensor.from_numpy(takes, ONE),), RequestContext("test", **hints), version=version)
    return float((await app._server.infer(request)).outputs[0].to_numpy()[0, 0])


def index(app):
    return {(entry.name, entry.version): (entry.state, entry.reason) for entry in repository(app).index()}


async def until(condition):
    """Wait for what a health check will bring about; the test's own time limit ends it."""
    while not condition():
        await asyncio.sleep(0.005)


def embedded(store, **changes):
    return settings(store, {"engine": ENGINE}, **changes)


def front(tmp_path, protocol="http", **servers):
    """A gateway without models of its own in front of OIP servers; each is its addresses, or settings."""
    backends = {
        name: _oip(protocol, server) if "http" in server else {"kind": "oip", "protocol": protocol, **server}
        for name, server in servers.items()
    }
    return settings(tmp_path / "nothing", backends)


def _oip(protocol, addresses):
    return {"kind": "oip", "protocol": protocol, "url": f"http://{addresses['http']}", "grpc": addresses["grpc"]}


def fixed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return {"host": "127.0.0.1", "port": probe.getsockname()[1]}


@contextlib.asynccontextmanager
async def small_server(documents):
    """An OIP server of JSON documents by path: its address, and the paths that it was asked for."""
    asked = []

    async def answer(request):
        asked.append(request.path)
        return web.json_response(documents.get(request.path, {}), status=200 if request.path in documents else 404)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield {"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}, asked
    finally:
        await runner.cleanup()


def run(coroutine):
    uvloop.run(asyncio.wait_for(coroutine, 30))


# ---- models of the store


def test_load_serves_what_the_store_got_since_the_start_and_reload_replaces_it(tmp_path):
    async def scenario():
        store = save_scaled(tmp_path, 2, name="first")
        async with running(embedded(store)) as (app, _):
            with pytest.raises(ModelNotFound):
                await ask(app)
            save_scaled(store, 3)
            assert index(app)["scaled", "1"] == (ModelState.UNAVAILABLE, "not loaded")
            await repository(app).load("scaled")
            assert await ask(app) == 3
            save_scaled(store, 4)  # the same version, built anew
            assert await ask(app) == 3
            await repository(app).load("scaled")
            assert await ask(app) == 4
            save_scaled(store, 5, version="2")
            await repository(app).load("scaled")
            assert await ask(app) == 5
            with pytest.raises(ModelNotFound, match="has no version '1'; served: 2"):
                await ask(app, version="1")

    run(scenario())


def test_a_failed_load_leaves_the_old_one_serving(tmp_path):
    async def scenario():
        store = save_scaled(tmp_path, 2)
        async with running(embedded(store)) as (app, _):
            (store / "scaled/1/onnx/model.onnx").write_bytes(b"broken")
            with pytest.raises(BackendError, match="does not load model 'scaled'"):
                await repository(app).load("scaled")
            assert await ask(app) == 2
            (store / "scaled/1/manifest.json").write_text("{")
            with pytest.raises(Unavailable, match="files in the store cannot be used") as caught:
                await repository(app).load("scaled")
            assert str(tmp_path) not in caught.value.message
            assert await ask(app) == 2
            assert index(app)["scaled", "1"] == (ModelState.READY, "")

    run(scenario())


def test_unload_answers_what_is_in_flight_and_refuses_what_comes_later(tmp_path, monkeypatch):
    async def scenario():
        async with running(embedded(save_scaled(tmp_path, 2))) as (app, _):
            backend = app._backends["engine"]
            entered, released = asyncio.Event(), asyncio.Event()
            unloaded = []
            call, unload = backend.__call__, backend.unload

            class Slow:
                capabilities = backend.capabilities

                async def __call__(self, request):
                    entered.set()
                    await released.wait()
                    return await call(request)

            balance = _innermost(app._server.catalog.get("scaled").service)
            monkeypatch.setattr(balance._candidates[0].service, "inner", Slow())

            async def note_unload(*arguments):
                unloaded.append(arguments)
                await unload(*arguments)

            monkeypatch.setattr(backend, "unload", note_unload)
            engine = weakref.ref(backend._models["scaled", "1"])
            answer = asyncio.create_task(ask(app))
            await entered.wait()
            unloading = asyncio.create_task(repository(app).unload("scaled"))
            await until(lambda: not list(app._server.catalog))
            with pytest.raises(ModelNotFound):
                await ask(app)
            assert index(app)["scaled", "1"] == (ModelState.UNLOADING, "")
            assert unloaded == []
            released.set()
            assert await answer == 2
            await unloading
            assert unloaded == [("scaled", "1")]
            assert engine() is None
            assert index(app)["scaled", "1"] == (ModelState.UNAVAILABLE, "unloaded")
            await repository(app).unload("scaled")  # again: nothing to do
            await repository(app).load("scaled")
            assert await ask(app) == 2

    run(scenario())


def _innermost(service):
    while hasattr(service, "inner"):
        service = service.inner
    return service


def test_one_change_at_a_time(tmp_path, monkeypatch):
    async def scenario():
        async with running(embedded(save_scaled(tmp_path, 2))) as (app, _):
            backend, released = app._backends["engine"], asyncio.Event()
            load = backend.load

            async def slow_load(*arguments):
                await released.wait()
                await load(*arguments)

            monkeypatch.setattr(backend, "load", slow_load)
            loading = asyncio.create_task(repository(app).load("scaled"))
            await until(lambda: index(app)["scaled", "1"][0] is ModelState.LOADING)
            for change in (repository(app).load, repository(app).unload):
                with pytest.raises(Conflict, match="'scaled' is loading already"):
                    await change("scaled")
            assert await ask(app) == 2  # what answers now does so until the new one is ready
            released.set()
            await loading
            await repository(app).unload("scaled")

    run(scenario())


def test_what_nobody_has_cannot_be_loaded_or_unloaded(tmp_path):
    async def scenario():
        async with running(embedded(save_scaled(tmp_path, 2))) as (app, _):
            for change in (repository(app).load, repository(app).unload):
                with pytest.raises(ModelNotFound):
                    await change("nope")

    run(scenario())


# ---- several versions


def test_each_version_answers_by_its_number_and_by_its_label(tmp_path):
    async def scenario():
        for version in ("1", "2", "10"):
            save_scaled(tmp_path, int(version), version=version)
        configuration = embedded(tmp_path, models=["scaled", "scaled/2", "scaled/10"], labels={"scaled": {"stable": 2}})
        async with running(configuration) as (app, addresses):
            assert [await ask(app), await ask(app, version="2"), await ask(app, version="10")] == [10, 2, 10]
            with pytest.raises(ModelNotFound, match="has no version '1'; served: 2, 10"):
                await ask(app, version="1")
            assert app._server.catalog.get("scaled", label="stable").version == "2"
            for version, factor in (("", 10), ("2", 2)):
                for protocol in ("http", "grpc"):
                    request = InferRequest(
                        "scaled", (Tensor.from_numpy("x", ONE),), RequestContext("test"), version=version
                    )
                    answer = await infer(protocol, addresses[protocol], request, "", timeout=5)
                    assert answer.response.outputs[0].to_numpy()[0, 0] == factor
                    assert answer.response.version == (version or "10")
            async with aiohttp.ClientSession(f"http://{addresses['http']}") as session:
                for path, factor in (("", 10), ("/versions/2", 2), ("/versions/10", 10), ("/labels/stable", 2)):
                    async with session.post(f"/v1/models/scaled{path}:predict", json={"instances": [[1, 1]]}) as answer:
                        assert await answer.json() == {"predictions": [[factor, factor]]}
                async with session.get("/v2/models/scaled") as answer:
                    assert (await answer.json())["versions"] == ["2", "10"]

    run(scenario())


def test_a_label_for_a_version_that_is_not_served_stops_the_start(tmp_path):
    save_scaled(tmp_path, 1)
    save_scaled(tmp_path, 2, version="2")
    configuration = embedded(tmp_path, models=["scaled"], labels={"scaled": {"stable": "1"}})
    with pytest.raises(ConfigError, match=r"labels\.scaled\.stable: version '1' is not served; models serves: 2"):
        run(_start(configuration))


async def _start(configuration):
    async with running(configuration):
        pass


# ---- models that only a backend knows


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_models_and_versions_are_learned_from_the_server(tmp_path, protocol):
    async def scenario():
        store = save_scaled(save_scaled(tmp_path / "up", 2), 3, version="2")
        async with running(embedded(store, models=["scaled/1", "scaled/2"])) as (_, addresses):
            server = _oip(protocol, addresses)
            if protocol == "grpc":
                server["models"] = ["scaled"]
            async with running(front(tmp_path, protocol, up=server)) as (app, _):
                assert [await ask(app), await ask(app, version="1"), await ask(app, version="2")] == [3, 2, 3]
                model = app._server.catalog.get("scaled")
                assert [model.max_batch_size, model.signature.inputs[0].shape] == [8, (-1, 2)]
                assert app._server.ready

    run(scenario())


def test_a_model_that_is_waited_for_is_served_when_its_server_comes_up(tmp_path):
    async def scenario():
        port = fixed_port()
        waiting = {"url": f"http://127.0.0.1:{port['port']}", "models": ["scaled"]}
        async with running(front(tmp_path, up=waiting)) as (app, _):
            with pytest.raises(Unavailable, match="cannot be served yet: backend 'up' refused the connection"):
                await ask(app)
            assert not app._server.ready
            assert index(app)["scaled", ""][0] is ModelState.UNAVAILABLE
            async with running(embedded(save_scaled(tmp_path / "up", 2), http=port)):
                await until(lambda: app._server.ready)
                assert await ask(app) == 2

    run(scenario())


def test_a_server_that_comes_back_with_another_signature_is_learned_anew(tmp_path):
    async def scenario():
        port = fixed_port()
        address = {"url": f"http://127.0.0.1:{port['port']}"}
        async with contextlib.AsyncExitStack() as upstream:
            await upstream.enter_async_context(running(embedded(save_scaled(tmp_path / "old", 2), http=port)))
            async with running(front(tmp_path, up=address)) as (app, _):
                assert await ask(app) == 2
                await upstream.aclose()
                gone = (ModelState.UNAVAILABLE, "up: backend 'up' refused the connection")
                await until(lambda: index(app)["scaled", "1"] == gone)
                assert not app._server.ready
                with pytest.raises(NoHealthyBackend):
                    await ask(app)
                new = save_scaled(tmp_path / "new", 3, takes="z")
                async with running(embedded(new, http=port)):
                    await until(lambda: app._server.ready)
                    assert await ask(app, takes="z") == 3

    run(scenario())


def test_a_model_that_leaves_the_servers_list_is_served_no_more_until_it_is_back(tmp_path):
    async def scenario():
        store = save_scaled(save_scaled(tmp_path / "up", 2), 3, name="other")
        async with running(embedded(store)) as (upstream, addresses):
            async with running(front(tmp_path, up=addresses)) as (app, _):
                assert await ask(app) == 2
                await repository(upstream).unload("scaled")
                await until(lambda: [model.name for model in app._server.catalog] == ["other"])
                with pytest.raises(ModelNotFound):
                    await ask(app)
                await repository(upstream).load("scaled")
                await until(lambda: len(list(app._server.catalog)) == 2)
                assert await ask(app) == 2

    run(scenario())


def test_a_model_that_is_not_ready_on_its_server_is_not_forgotten(tmp_path):
    async def scenario():
        async with running(embedded(save_scaled(tmp_path / "up", 2))) as (upstream, addresses):
            async with running(front(tmp_path, up=addresses)) as (app, _):
                (end,) = upstream._server.catalog.get("scaled").endpoints
                upstream._checker.check = lambda _: asyncio.sleep(0)  # what is down stays down
                end.mark_down("broken")
                await until(lambda: not app._server.ready)
                checks = []
                app._checker._on_check = checks.append
                await until(lambda: len(checks) > 5)
                with pytest.raises(NoHealthyBackend):
                    await ask(app)

    run(scenario())


def test_two_servers_with_the_same_model_share_it(tmp_path):
    async def scenario():
        a, b = (embedded(save_scaled(tmp_path / name, factor)) for name, factor in (("a", 2), ("b", 3)))
        async with running(a) as (_, first), running(b) as (_, second):
            async with running(front(tmp_path, a=first, b=second)) as (app, _):
                assert {await ask(app) for _ in range(4)} == {2, 3}
                assert await ask(app, backend="b") == 3

    run(scenario())


def test_servers_that_disagree_about_a_signature_do_not_share_the_model(tmp_path, capfd):
    async def scenario():
        a = embedded(save_scaled(tmp_path / "a", 2))
        b = embedded(save_scaled(tmp_path / "b", 3, takes="z"))
        async with running(a) as (_, first), running(b) as (_, second):
            async with running(front(tmp_path, a=first, b=second)) as (app, _):
                assert [await ask(app) for _ in range(3)] == [2, 2, 2]
                state, reason = index(app)["scaled", "1"]
                assert state is ModelState.READY
                assert reason == "b is left out: its inputs and outputs differ from those on 'a'"
                assert capfd.readouterr().out.count("backend left out") == 1
                checks = []
                app._checker._on_check = checks.append
                await until(lambda: len(checks) > 30)
                assert "left out" not in "".join(capfd.readouterr())

    run(scenario())


def test_a_learned_model_is_unloaded_and_loaded_through_its_server(tmp_path):
    async def scenario():
        upstream = embedded(save_scaled(tmp_path / "up", 2), control={"loopback": True})
        async with running(upstream) as (server, addresses), running(front(tmp_path, up=addresses)) as (app, _):
            await repository(app).unload("scaled")
            with pytest.raises(ModelNotFound):
                await ask(app)
            assert index(app)["scaled", ""] == (ModelState.UNAVAILABLE, "unloaded")
            assert list(server._server.catalog) == []
            await repository(app).load("scaled")
            assert await ask(app) == 2
            with pytest.raises(ModelNotFound):
                await repository(app).load("nope")

    run(scenario())


def test_an_unloaded_model_stays_unloaded_though_its_server_has_it(tmp_path):
    async def scenario():
        async with running(embedded(save_scaled(tmp_path / "up", 2))) as (_, addresses):
            async with running(front(tmp_path, up=addresses)) as (app, _):
                await repository(app).unload("scaled")  # the server takes no orders from us
                checked = asyncio.Event()
                learn = repository(app)._learned.refresh

                async def note():
                    await learn()
                    checked.set()

                repository(app)._learned.refresh = note
                await checked.wait()
                with pytest.raises(ModelNotFound):
                    await ask(app)
                await repository(app).load("scaled")
                assert await ask(app) == 2

    run(scenario())


def test_clients_of_the_front_gateway_see_the_learned_model(tmp_path):
    async def scenario():
        async with running(embedded(save_scaled(tmp_path / "up", 2))) as (_, up):
            async with running(front(tmp_path, up=up)) as (_, addresses):
                request = InferRequest("scaled", (Tensor.from_numpy("x", ONE),), RequestContext("test"))
                answer = await infer("http", addresses["http"], request, "", timeout=5)
                assert answer.served_by == "up"
                wrong = InferRequest("scaled", (Tensor.from_numpy("q", ONE),), RequestContext("test"))
                with pytest.raises(ClientError, match="unknown input 'q'"):
                    await infer("http", addresses["http"], wrong, "", timeout=5)

    run(scenario())


def test_a_server_that_hangs_delays_nobody_elses_checks(tmp_path):
    async def scenario():
        async def swallow(reader, writer):
            await reader.read()
            writer.close()

        hanging = await asyncio.start_server(swallow, "127.0.0.1", 0)
        port = hanging.sockets[0].getsockname()[1]
        backends = {
            "engine": {**ENGINE, "models": ["scaled"]},
            "hangs": {"kind": "oip", "url": f"http://127.0.0.1:{port}", "models": ["theirs"]},
        }
        configuration = settings(save_scaled(tmp_path, 2), backends, health={"interval": 0.01, "timeout": 1.0})
        async with hanging, running(configuration) as (app, _):
            assert await ask(app) == 2
            assert index(app)["theirs", ""] == (ModelState.UNAVAILABLE, "backend 'hangs' did not describe it in time")
            checks = []
            app._checker._on_check = lambda endpoint: checks.append(endpoint.backend)
            async with asyncio.timeout(0.9):  # less than one of the answers that never come
                await until(lambda: checks.count("engine") > 5)

    run(scenario())


def test_a_stored_model_on_a_server_without_versions_is_asked_for_without_one(tmp_path):
    async def scenario():
        documents = {
            "/v2": {"name": "s", "extensions": ["binary_tensor_data"]},
            "/v2/models/scaled": {"name": "scaled", "inputs": [], "outputs": []},
            "/v2/models/scaled/ready": {"ready": True},
        }
        async with small_server(documents) as (server, asked):
            backends = {"server": {"kind": "oip", **server, "models": ["scaled"]}}
            async with running(settings(save_scaled(tmp_path, 2), backends)) as (app, _):
                await until(lambda: app._server.ready)
                with pytest.raises(ModelNotFound):  # it answers nothing there
                    await ask(app)
                assert "/v2/models/scaled/infer" in asked
                assert "/v2/models/scaled/versions/1/infer" not in asked

    run(scenario())


def test_a_model_whose_inputs_nobody_tells_takes_what_comes(tmp_path):
    async def scenario():
        documents = {
            "/v2": {"name": "s", "extensions": []},
            "/v2/repository/index": [{"name": "anything", "state": "READY"}, {"name": "odd", "state": "READY"}],
            "/v2/models/anything": {"name": "anything", "inputs": [], "outputs": []},
            "/v2/models/anything/ready": {},
            "/v2/models/anything/infer": {
                "model_name": "anything",
                "outputs": [{"name": "q", "datatype": "INT8", "shape": [1], "data": [7]}],
            },
            "/v2/models/odd": {"name": "odd", "inputs": [{"name": "x", "datatype": "FLOAT", "shape": [1]}]},
        }
        async with small_server(documents) as (server, _), running(front(tmp_path, server=server)) as (app, _):
            request = InferRequest("anything", (Tensor.from_numpy("z", ONE),), RequestContext("test"))
            response = await app._server.infer(request)
            assert [(output.name, output.to_numpy().tolist()) for output in response.outputs] == [("q", [7])]
            half = Tensor.from_numpy("z", np.zeros(1, np.float16))
            with pytest.raises(Unsupported, match="cannot carry FP16: the server takes tensors in JSON only"):
                await app._server.infer(InferRequest("anything", (half,), RequestContext("test")))
            # A model that nobody asked for and that cannot be understood is told of, and no reason not to be ready.
            state, reason = index(app)["odd", ""]
            assert state is ModelState.UNAVAILABLE
            assert "unknown datatype 'FLOAT'" in reason
            assert app._server.ready

    run(scenario())


def test_loading_anew_loses_no_request_and_unloading_loses_none_that_came_before(tmp_path):
    async def scenario():
        async with running(embedded(save_scaled(tmp_path, 2))) as (app, _):
            answers, done = [], asyncio.Event()

            async def keep_asking():
                while not done.is_set():
                    try:
                        answers.append(await ask(app))
                    except ModelNotFound:
                        answers.append(None)
                    await asyncio.sleep(0)

            clients = [asyncio.create_task(keep_asking()) for _ in range(4)]
            for factor in (3, 4, 5):
                save_scaled(tmp_path, factor)
                await repository(app).load("scaled")
            assert None not in answers
            for _ in range(3):
                await repository(app).unload("scaled")
                await repository(app).load("scaled")
            done.set()
            await asyncio.gather(*clients)  # any other error than "not found" would come out here
            assert {2, 3, 4, 5, None} >= set(answers)
            assert 5 in answers

    run(scenario())


def test_models_and_versions_are_learned_from_a_tensorflow_serving(tmp_path):
    async def scenario():
        store = save_scaled(save_scaled(tmp_path / "up", 2), 3, version="2")
        async with running(embedded(store, models=["scaled/1", "scaled/2"])) as (_, addresses):
            backends = {"tf": {"kind": "tfserving", "grpc": addresses["grpc"], "models": ["scaled"]}}
            async with running(settings(tmp_path / "nothing", backends)) as (app, _):
                assert [await ask(app), await ask(app, version="1"), await ask(app, version="2")] == [3, 2, 3]

    run(scenario())


def test_servers_of_different_kinds_share_a_model(tmp_path):
    async def scenario():
        async with running(embedded(save_scaled(tmp_path / "up", 2))) as (_, addresses):
            backends = {
                "oip": _oip("http", addresses),
                "tf": {"kind": "tfserving", "grpc": addresses["grpc"], "models": ["scaled"]},
            }
            async with running(settings(tmp_path / "nothing", backends)) as (app, _):
                assert [await ask(app, backend=name) for name in backends] == [2, 2]

    run(scenario())
