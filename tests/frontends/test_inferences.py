"""Which operations are inference, of all that all doors offer, and which requests are turned away by that."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from support.gateways import ENGINE, running, settings
from support.looped import looped
from support.tiny_store import make_store

from gateway.codecs import oip_grpc, tfs_grpc, torchserve_grpc
from gateway.core.crowding import LEAST
from gateway.frontends import grpc_server, http
from gateway.frontends.http_crowd import HTTPCrowd

# Said once more, and not by the table: a door that gets an inference more must be thought of here.
OVER_HTTP = {
    ("oip", "POST", "/v2/models/{name}/infer"),
    ("oip", "POST", "/v2/models/{name}/versions/{version}/infer"),
    *(
        ("tfserving", "POST", f"/v1/models/{{name}}{version}:{verb}")
        for version in ("", "/versions/{version}", "/labels/{label}")
        for verb in ("predict", "classify", "regress")
    ),
    *(
        ("torchserve", verb, path)
        for path in ("/predictions/{name}", "/predictions/{name}/{version}")
        for verb in ("POST", "PUT")
    ),
    ("torchserve", "POST", "/models/{name}/invoke"),
    ("torchserve", "POST", "/invocations"),
    ("torchserve", "POST", "/v1/models/{name}:predict"),
    ("torchserve", "POST", "/v2/models/{name}/infer"),
}
OVER_GRPC = {
    ("oip", "rpc", f"{oip_grpc.SERVICE}/ModelInfer"),
    ("oip", "stream", f"{oip_grpc.SERVICE}/ModelStreamInfer"),
    *(
        ("tfserving", "rpc", f"{tfs_grpc.PREDICTION_SERVICE}/{name}")
        for name in ("Predict", "Classify", "Regress", "MultiInference")
    ),
    ("torchserve", "rpc", f"{torchserve_grpc.INFERENCE_SERVICE}/Predictions"),
    ("torchserve", "stream", f"{torchserve_grpc.INFERENCE_SERVICE}/StreamPredictions"),
    ("torchserve", "stream", f"{torchserve_grpc.INFERENCE_SERVICE}/StreamPredictions2"),
}


def marked(doors):
    return {
        (name, *operation.key) for name, door in doors.items() for operation in door.operations if operation.inference
    }


def crowd(names=tuple(http.DOORS), rule=None):
    doors = [http.DOORS[name] for name in names]
    return HTTPCrowd(rule, [(operation, door.segment) for door in doors for operation in door.operations])


def test_every_operation_that_is_inference_is_marked_and_no_other():
    assert marked(http.DOORS) == OVER_HTTP
    assert marked(grpc_server.DOORS) == OVER_GRPC


@pytest.mark.parametrize("model", ["m", "a.b", "a%2Fb", "infer", "%3Fx", "caf%C3%A9"])
def test_of_all_http_operations_inference_alone_may_be_turned_away(model):
    judge = crowd()
    inferences = {(method, path) for _, method, path in OVER_HTTP}
    for door in http.DOORS.values():
        for operation in door.operations:
            path = operation.path.replace("{name}", model).replace("{version}", "1").replace("{label}", "stable")
            path = path.replace("{region}", "infer")
            for url in (path, f"{path}/", f"{path}?x=1", f"{path}/?x=/infer", f"http://h:1{path}", f"{path}?a?b"):
                assert judge.concerns(operation.method.encode(), url.encode()) == (operation.key in inferences), url


@pytest.mark.parametrize(
    "url",
    [
        "/v2/repository/index?x=/v2/models/m/infer",
        "/v2/repository/models/infer/load",
        "/v2/models/m?x/infer",
        "/v2/models/m/infer//",
        "/v2/models/a/b/infer",
        "/v1/models/m:predict:predict",
        "/predictions",
        "/predictions/a/b/c",
        "/x/predictions/a",
        "http://h?/v2/models/m/infer",
        "",
    ],
)
def test_what_no_door_answers_with_inference_is_let_in(url):
    assert not crowd().concerns(b"POST", url.encode())


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "post"])
def test_the_verb_counts(method):
    assert not crowd().concerns(method.encode(), b"/v2/models/m/infer")


def test_what_is_switched_off_is_no_inference():
    assert not crowd(("oip", "tfserving")).concerns(b"POST", b"/predictions/m")
    assert crowd(("torchserve",)).concerns(b"PUT", b"/predictions/m")


def test_who_is_asked_hears_how_critical_the_request_is_where_it_matters():
    asked = []
    rule = SimpleNamespace(refuses=lambda *what: asked.append(what) or True)
    judge, url = crowd(rule=rule), b"/invocations?model=m"
    headers = {b"host": b"x", b"x-gateway-priority": b"critical"}
    assert judge.refuses(b"POST", url, headers, LEAST)
    assert judge.refuses(b"POST", url, headers, LEAST - 1)
    assert judge.refuses(b"POST", url, {b"host": b"x"}, LEAST)
    assert not judge.refuses(b"POST", b"/v2/repository/index", headers, LEAST)
    assert asked == [(LEAST, b"critical", url), (LEAST - 1, None, url), (LEAST, None, url)]


def test_a_mark_is_all_that_it_takes(monkeypatch):
    door = http.DOORS["oip"]
    index = ("POST", "/v2/repository/index")
    operations = tuple(replace(each, inference=each.key == index) for each in door.operations)
    monkeypatch.setattr(door, "operations", operations)
    judge = crowd(("oip",))
    assert judge.concerns(b"POST", b"/v2/repository/index")
    assert not judge.concerns(b"POST", b"/v2/models/m/infer")


@looped
async def test_the_ports_ask_about_what_is_marked(tmp_path):
    within = settings(make_store(tmp_path), {"engine": ENGINE}, admission={}, protocols=["tfserving"])
    async with running(within) as (app, _):
        judge = http.HTTPApp(app._server, ["tfserving"]).crowd
        assert judge.rule is app._crowd
        assert judge.concerns(b"POST", b"/v1/models/m/labels/stable:regress")
        assert not judge.concerns(b"POST", b"/v2/models/m/infer")
        port = grpc_server.GRPCServer(app._server, ["tfserving", "torchserve"])
        paths = [f"/{path}" for name, kind, path in OVER_GRPC if name != "oip" and kind == "rpc"]
        assert port._inferences == {path: path.encode() for path in paths}
