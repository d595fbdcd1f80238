"""The model repository, and the settings of logging and tracing, with Triton's own clients."""

import json

import grpc
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
import tritonclient.http.aio as http_aio
import uvloop
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store
from support.triton_models import SIGNATURES, gateway
from tritonclient.utils import InferenceServerException

from gateway.core.log_settings import LogSettings
from gateway.frontends.oip.grpc import OIPGRPCDoor
from gateway.telemetry.logs import LOGS

CLIENTS = {"http": http_client, "grpc": grpc_client}


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("store"), control={"loopback": True}) as running:
        yield running


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A gateway whose data ports let nobody control it."""
    with gateway(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(params=CLIENTS)
def protocol(request):
    return request.param


@pytest.fixture
def use(front, protocol):
    def run(function, front=front):
        def inner():
            with getattr(front, protocol)() as client:
                return function(client)

        return front.blocking(inner)

    return run


@pytest.fixture(autouse=True)
def logs_as_before():
    before = LOGS.settings
    yield
    LOGS.change(before)


def as_json(client, method, *arguments, **options):
    extra = {"as_json": True} if isinstance(client, grpc_client.InferenceServerClient) else {}
    return getattr(client, method)(*arguments, **options, **extra)


def index(client):
    entries = as_json(client, "get_model_repository_index")
    entries = entries if isinstance(entries, list) else entries["models"]
    return {entry["name"]: entry.get("state") for entry in entries}


# the model repository


def test_a_model_is_unloaded_and_loaded(use):
    def control(client):
        client.load_model("simple")
        states = [index(client)["simple"]]
        client.unload_model("simple", unload_dependents=True)
        states.append(index(client)["simple"])
        assert not client.is_model_ready("simple")
        client.load_model("simple")
        assert client.is_model_ready("simple")
        return [*states, index(client)["simple"]]

    assert use(control) == ["READY", "UNAVAILABLE", "READY"]


def test_the_index_lists_all_or_those_that_are_ready(front, use):
    use(lambda client: client.unload_model("simple_int8"))
    try:
        assert set(use(index)) == set(SIGNATURES)
        for body, names in ((b"", set(SIGNATURES)), (b'{"ready": true}', set(SIGNATURES) - {"simple_int8"})):
            status, _, answer = front.ask("POST", "/v2/repository/index", body)
            assert status == 200
            documents = json.loads(answer)
            assert {document["name"] for document in documents} == names
            assert all(set(document) == {"name", "version", "state", "reason"} for document in documents)
        request = grpc_client.service_pb2.RepositoryIndexRequest(ready=True)

        def ready():
            with front.grpc() as client:
                return client._client_stub.RepositoryIndex(request)

        assert {model.name for model in front.blocking(ready).models} == names
    finally:
        use(lambda client: client.load_model("simple_int8"))


def test_an_unknown_model_does_not_load(use):
    with pytest.raises(InferenceServerException, match="failed to load 'unknown'"):
        use(lambda client: client.load_model("unknown"))
    with pytest.raises(InferenceServerException, match="failed to unload 'unknown'"):
        use(lambda client: client.unload_model("unknown"))


def test_the_batch_limit_of_a_model_of_the_store_can_be_changed_at_a_load(tmp_path):
    wrong = [
        ('"parameters": {"config": {{"max_batch_size": "16"}}}', "failed to load 'double'"),
        ('{"max_batch_size": 0}', "a positive number is expected"),
        ('{"max_batch_size": true}', "a positive number is expected"),
        ('{"instance_group": []}', "only max_batch_size can be changed, not instance_group"),
    ]

    async def scenario():
        store = make_store(tmp_path)
        only = settings(store, {"here": ENGINE}, models=["double"], control={"loopback": True})
        async with running(only) as (_, ports), http_aio.InferenceServerClient(ports["http"]) as client:
            sizes = [(await client.get_model_config("double"))["max_batch_size"]]
            await client.load_model("double", config='{"max_batch_size": "16"}')
            sizes.append((await client.get_model_config("double"))["max_batch_size"])
            for config, problem in wrong:
                with pytest.raises(InferenceServerException, match=problem):
                    await client.load_model("double", config=config)
            await client.load_model("double")
            return [*sizes, (await client.get_model_config("double"))["max_batch_size"]]

    before, changed, after = uvloop.run(scenario())
    assert (changed, after) == (16, before)
    assert before != 16


def test_nothing_of_a_model_that_a_backend_holds_can_be_changed(use):
    with pytest.raises(InferenceServerException, match="cannot be changed for a model that is not in the store"):
        use(lambda client: client.load_model("simple", config='{"max_batch_size": "16"}'))


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_unknown_parameters_are_refused(front, verb):
    status, _, answer = front.ask("POST", f"/v2/repository/models/simple/{verb}", b'{"parameters": {"any": true}}')
    assert (status, "parameters.any: unknown parameter" in json.loads(answer)["error"]) == (400, True)


def test_a_named_repository_is_refused(front):
    request = grpc_client.service_pb2.RepositoryIndexRequest(repository_name="any")

    def ask():
        with front.grpc() as client:
            client._client_stub.RepositoryIndex(request)

    with pytest.raises(Exception, match="repository_name"):
        front.blocking(ask)


CHANGES = [
    lambda client: client.load_model("simple"),
    lambda client: client.unload_model("simple"),
    lambda client: client.update_log_settings({"log_info": False}),
]


@pytest.mark.parametrize("change", CHANGES)
def test_only_administrators_change_anything(use, closed, change):
    before = LOGS.settings
    with pytest.raises(InferenceServerException, match="administrative operations are not allowed on this port"):
        use(change, closed)
    assert LOGS.settings == before


def test_the_admin_port_offers_the_same(closed):
    def control():
        with closed.http("admin") as client:
            client.load_model("simple")

    closed.blocking(control)


def test_everybody_may_ask(use, closed):
    def ask(client):
        return set(index(client)), as_json(client, "get_log_settings"), as_json(client, "get_trace_settings")

    names, logs, traces = use(ask, closed)
    assert names == set(SIGNATURES)
    assert logs
    assert traces


# logging


def values(settings):
    if "settings" not in settings:
        return settings
    return {name: next(iter(value.values()), None) for name, value in settings["settings"].items()}


def test_the_log_settings(use):
    assert values(use(lambda client: as_json(client, "get_log_settings"))) == {
        "log_file": "",
        "log_info": True,
        "log_warning": True,
        "log_error": True,
        "log_verbose_level": 0,
        "log_format": "ISO8601",
    }


def test_changing_the_log_settings_changes_the_logging_of_the_process(use):
    changed = use(lambda client: as_json(client, "update_log_settings", {"log_info": False, "log_verbose_level": 1}))
    assert (values(changed)["log_info"], values(changed)["log_verbose_level"]) == (False, 1)
    assert LOGS.settings == LogSettings(info=False, verbose_level=1)


def test_settings_that_were_read_may_be_written_back(use):
    def back(client):
        settings = values(as_json(client, "get_log_settings"))
        return values(as_json(client, "update_log_settings", settings)) == settings

    assert use(back)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"log_file": "/tmp/x"}, "log_file: it cannot be changed"),
        ({"log_format": "default"}, "log_format: it cannot be changed"),
        ({"log_any": True}, "log_any: unknown log setting"),
    ],
)
def test_bad_log_settings_name_the_setting_and_change_nothing(use, settings, problem):
    with pytest.raises(InferenceServerException, match=problem):
        use(lambda client: client.update_log_settings({"log_warning": False, **settings}))
    assert LOGS.settings == LogSettings()


@pytest.mark.parametrize(
    ("name", "value"),
    [*(("log_verbose_level", level) for level in (-1, 2**31, 1.5, True)), ("log_info", "yes"), ("log_error", 1)],
)
def test_settings_have_types(front, name, value):
    status, _, answer = front.ask("POST", "/v2/logging", json.dumps({name: value}))
    assert (status, f"{name}: " in json.loads(answer)["error"]) == (400, True)


def test_null_leaves_a_setting_as_it_is(front):
    status, _, answer = front.ask("POST", "/v2/logging", b'{"log_info": null}')
    assert (status, json.loads(answer)["log_info"]) == (200, True)


# tracing


def test_trace_settings_can_be_read(use):
    def ask(client):
        settings = as_json(client, "get_trace_settings")
        assert settings == as_json(client, "get_trace_settings", "simple")
        return settings.get("settings", settings)["trace_level"]

    assert use(ask) in (["OFF"], {"value": ["OFF"]})


def test_trace_settings_of_an_unknown_model(use):
    with pytest.raises(InferenceServerException, match="unknown model"):
        use(lambda client: client.get_trace_settings("unknown"))


def test_trace_settings_cannot_be_changed(use):
    for model in (None, "simple"):
        with pytest.raises(InferenceServerException, match="requests are not traced into files"):
            use(lambda client, model=model: client.update_trace_settings(model, {"trace_level": ["TIMESTAMPS"]}))


# broken requests


@pytest.mark.parametrize("path", [operation.path for operation in OIPGRPCDoor.operations if operation.method == "rpc"])
def test_a_message_that_is_none_is_refused(front, path):
    async def ask():
        async with grpc.aio.insecure_channel(front.addresses["grpc"]) as channel:
            await channel.unary_unary(f"/{path}")(b"\xff")

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        front.loop.run(ask())
    assert caught.value.code().name in ("INVALID_ARGUMENT", "UNIMPLEMENTED")


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index",
        "/v2/repository/models/simple/load",
        "/v2/repository/models/simple/unload",
        "/v2/logging",
    ],
)
@pytest.mark.parametrize("body", [b"{", b"[]", b"[" * 1000, b"\xff", b'{"ready": 3, "parameters": 3, "log_info": 3}'])
def test_a_body_that_is_none_is_refused(front, path, body):
    status, _, answer = front.ask("POST", path, body)
    assert (status, set(json.loads(answer))) == (400, {"error"})
