"""``HandleReloadConfigRequest`` to a server, and through a backend with model control."""

import grpc
import pytest
import uvloop
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_store

from gateway.codecs.tfs_reload import decode_reload_response, encode_reload_request
from gateway.codecs.tfs_status import decode_status_response, encode_status_request
from gateway.protos.loader import message_class

MODELS = ["double", "pair"]
ADMIN = {"loopback": True}
ReloadConfigRequest = message_class("tensorflow.serving.ReloadConfigRequest")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


def run(scenario, store, **changes):
    """Run ``scenario(address)`` with the gRPC address of a server of both models."""

    async def whole():
        async with running(settings(store, {"engine": ENGINE}, models=MODELS, control=ADMIN, **changes)) as (_, server):
            return await scenario(server["grpc"])

    return uvloop.run(whole())


async def call(address, method, data):
    async with grpc.aio.insecure_channel(address) as channel:
        return await channel.unary_unary(f"/tensorflow.serving.ModelService/{method}")(data)


async def reload(address, *names, **more):
    request = ReloadConfigRequest(**more)
    request.config.model_config_list.SetInParent()
    for name in names:
        request.config.model_config_list.config.add(name=name, base_path="/nowhere")
    return await call(address, "HandleReloadConfigRequest", request.SerializeToString())


async def available(address, model):
    try:
        statuses = decode_status_response(await call(address, "GetModelStatus", encode_status_request(model)))
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
        return "not found"
    return [status.state for status in statuses]


def test_the_list_is_served_and_nothing_else(store):
    async def scenario(address):
        seen = [[await available(address, name) for name in MODELS]]
        for names in (["pair"], ["double", "pair"], []):
            await reload(address, *names)
            seen.append([await available(address, name) for name in MODELS])
        return seen

    up, gone = ["AVAILABLE"], ["END"]
    assert run(scenario, store) == [[up, up], [gone, up], [up, up], [gone, gone]]


def test_labels_replace_all_labels(store):
    async def scenario(address):
        request = ReloadConfigRequest()
        entry = request.config.model_config_list.config.add(name="double")
        entry.version_labels["stable"] = 1
        await call(address, "HandleReloadConfigRequest", request.SerializeToString())
        status = message_class("tensorflow.serving.GetModelStatusRequest")()
        status.model_spec.name, status.model_spec.version_label = "double", "stable"
        answer = decode_status_response(await call(address, "GetModelStatus", status.SerializeToString()))
        status.model_spec.version_label = "old"
        with pytest.raises(grpc.aio.AioRpcError, match="Unrecognized servable version label: old"):
            await call(address, "GetModelStatus", status.SerializeToString())
        return [one.version for one in answer]

    assert run(scenario, store, labels={"double": {"old": "1"}}) == [1]


@pytest.mark.parametrize(
    ("change", "code", "problem"),
    [
        (lambda entry: entry.version_labels.update({"stable": 7}), "INVALID_ARGUMENT", "version 7 of model double"),
        (lambda entry: entry.model_version_policy.specific.versions.append(7), "UNIMPLEMENTED", "model_version_policy"),
        (lambda entry: setattr(entry, "name", "unknown"), "NOT_FOUND", "unknown"),
        (lambda entry: setattr(entry, "name", ""), "INVALID_ARGUMENT", r"config\[0\].name"),
    ],
)
def test_what_cannot_be_done_changes_nothing(store, change, code, problem):
    async def scenario(address):
        request = ReloadConfigRequest()
        change(request.config.model_config_list.config.add(name="double"))
        with pytest.raises(grpc.aio.AioRpcError, match=problem) as refused:
            await call(address, "HandleReloadConfigRequest", request.SerializeToString())
        assert refused.value.code().name == code
        return [await available(address, name) for name in MODELS]

    assert run(scenario, store) == [["AVAILABLE"], ["AVAILABLE"]]


def test_metrics_that_are_asked_for_have_not_increased(store):
    async def scenario(address):
        return await reload(address, *MODELS, metric_names=["some_metric"])

    answer = message_class("tensorflow.serving.ReloadConfigResponse").FromString(run(scenario, store))
    assert [(metric.name, metric.int64_value_increase) for metric in answer.metric] == [("some_metric", 0)]


def test_a_gateway_loads_and_unloads_through_the_server_behind_it(store, tmp_path):
    paths = {name: f"/models/{name}" for name in MODELS}

    async def scenario(server):
        backend = {"kind": "tfserving", "grpc": server, "models": MODELS, "model_control": {"base_paths": paths}}
        async with running(settings(tmp_path, {"tfs": backend}, control=ADMIN)) as (_, front):
            seen = []
            for names in (["double"], MODELS):
                await reload(front["grpc"], *names)
                seen.append([await available(server, name) for name in MODELS])
            return seen

    up, gone = ["AVAILABLE"], ["END"]
    assert run(scenario, store) == [[up, gone], [up, up]]


def test_the_messages_fit_each_other():
    assert ReloadConfigRequest.FromString(encode_reload_request({"m": "/p"})).config.model_config_list.config[0].name
    decode_reload_response(b"")
