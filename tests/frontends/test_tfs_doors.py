"""TensorFlow Serving's calls as its own tests and documentation make them, to a server and through a gateway."""

import asyncio
import base64
import contextlib
import io
import json

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from PIL import Image
from support.gateways import ENGINE, running, settings
from support.half_plus_two import MODEL, SETTINGS, in_place_of
from support.tiny_store import make_raw_store, make_store

from gateway.protos.loader import message_class

SERVING = "tensorflow.serving"
SERVERS = ["server", "over gRPC", "over REST"]


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as in production
        yield runner


@pytest.fixture(scope="module")
def fronts(tmp_path_factory, loop):
    """Addresses of a server with the models, and of gateways that know it over gRPC and over REST."""
    exits = contextlib.AsyncExitStack()
    root = tmp_path_factory.mktemp("store")
    store = make_raw_store(make_store(root))
    empty = tmp_path_factory.mktemp("empty")
    labels = {MODEL: {"stable": "122", "canary": "123"}}

    async def start():
        with in_place_of("toy"):
            backends = {"toy": SETTINGS, "engine": ENGINE}
            _, server = await exits.enter_async_context(running(settings(store, backends, labels=labels)))
        fronts = {"server": server}
        for protocol in ("gRPC", "REST"):
            backend = {
                "kind": "tfserving",
                "protocol": protocol.lower(),
                "grpc": server["grpc"],
                "url": f"http://{server['http']}",
                "models": [MODEL, "double", "pair"],
            }
            front = settings(empty, {"tfs": backend}, labels=labels)
            _, fronts[f"over {protocol}"] = await exits.enter_async_context(running(front))
        return fronts

    yield loop.run(start())
    loop.run(exits.aclose())


async def exchange(address, method, path, body=None):
    """Status and body of one exchange, on a connection of its own."""
    async with aiohttp.ClientSession() as session:
        async with session.request(method, f"http://{address}{path}", data=body) as answer:
            return answer.status, await answer.read()


@pytest.fixture(params=SERVERS)
def front(request, fronts):
    return fronts[request.param]


@pytest.fixture
def rest(loop, front):
    """Status and document of the answer to one exchange."""

    def ask(method, path, document=None):
        body = json.dumps(document).encode() if isinstance(document, dict) else document
        status, answer = loop.run(exchange(front["http"], method, f"/v1/models/{path}", body))
        return status, json.loads(answer)

    return ask


@pytest.fixture
def rpc(loop, front):
    """The answer of one call, or the code and the details of its failure."""

    def ask(service, method, request, answer):
        async def call():
            async with grpc.aio.insecure_channel(front["grpc"]) as channel:
                data = await channel.unary_unary(f"/{SERVING}.{service}/{method}")(request.SerializeToString())
                return message_class(f"{SERVING}.{answer}").FromString(data)

        try:
            return loop.run(call())
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details()

    return ask


def message(name, model=MODEL, version=None, label="", signature=""):
    request = message_class(f"{SERVING}.{name}")()
    fill_spec(request.model_spec, model, version, label, signature)
    return request


def fill_spec(spec, model, version=None, label="", signature=""):
    spec.name, spec.signature_name = model, signature
    if version is not None:
        spec.version.value = version
    if label:
        spec.version_label = label


def add_example(request, **features):
    example = request.input.example_list.examples.add()
    for name, value in features.items():
        example.features.feature[name].float_list.value.extend(value)
    return request


def predict(version=None, label="", signature="", values=(2.0,), model=MODEL, name="x", shape=None):
    request = message("PredictRequest", model, version, label, signature)
    proto = request.inputs[name]
    proto.dtype = 1
    proto.float_val.extend(values)
    for size in shape or [len(values)]:
        proto.tensor_shape.dim.add(size=size)
    return request


# REST, as the documentation has it


def test_predict_in_rows_and_columns(rest):
    assert rest("POST", f"{MODEL}:predict", {"instances": [1.0, 2.0, 5.0]}) == (200, {"predictions": [2.5, 3.0, 4.5]})
    assert rest("POST", f"{MODEL}:predict", {"inputs": [1.0, 2.0, 5.0]}) == (200, {"outputs": [2.5, 3.0, 4.5]})
    assert rest("POST", f"{MODEL}:predict", {"instances": [{"x": 2.0}]}) == (200, {"predictions": [3.0]})


def test_a_version_or_a_label_chooses(rest):
    body = {"instances": [2.0]}
    for path, value in [("versions/122", 2.0), ("versions/00123", 3.0), ("labels/stable", 2.0), ("labels/canary", 3.0)]:
        assert rest("POST", f"{MODEL}/{path}:predict", body) == (200, {"predictions": [value]})


def test_version_0_is_the_latest_as_openvinos_client_means_it(rest, rpc):
    assert rest("POST", f"{MODEL}/versions/0:predict", {"instances": [2.0]}) == (200, {"predictions": [3.0]})
    assert rest("GET", f"{MODEL}/versions/0") == rest("GET", MODEL)
    assert rest("GET", "half/versions/0") == (404, {"error": "Could not find any versions of model half"})
    answer = rpc("PredictionService", "Predict", predict(0), "PredictResponse")
    assert answer.model_spec.version.value == 123


def test_regress_and_classify(rest):
    examples = [{"x": 1.0}, {"x": 2.0}]
    body = {"signature_name": "tensorflow/serving/regress", "examples": examples}
    assert rest("POST", f"{MODEL}:regress", body) == (200, {"results": [2.5, 3.0]})
    body = {"signature_name": "classify_x_to_y", "examples": [{"x": 2.0}]}
    assert rest("POST", f"{MODEL}:classify", body) == (200, {"results": [[["", 3.0]]]})
    body = {"signature_name": "named_classes", "examples": [{}], "context": {"x": 2.0}}
    assert rest("POST", f"{MODEL}/labels/stable:classify", body) == (200, {"results": [[["half", 2.0]]]})


def test_the_status_of_all_versions_or_of_one(rest):
    def status(version):
        return {"version": version, "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}

    assert rest("GET", MODEL) == (200, {"model_version_status": [status("122"), status("123")]})
    for path in ("versions/122", "labels/stable"):
        assert rest("GET", f"{MODEL}/{path}") == (200, {"model_version_status": [status("122")]})


def test_the_metadata_of_every_signature(rest):
    status, document = rest("GET", f"{MODEL}/metadata")
    assert status == 200
    assert document["model_spec"] == {"name": MODEL, "signature_name": "", "version": "123"}
    definitions = document["metadata"]["signature_def"]["signature_def"]
    assert definitions["regress_x_to_y"]["method_name"] == "tensorflow/serving/regress"
    assert definitions["serving_default"] == {
        "inputs": {
            "x": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
                "name": "x:0",
            }
        },
        "outputs": {
            "y": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
                "name": "y:0",
            }
        },
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }
    assert rest("GET", f"{MODEL}/labels/stable/metadata")[1]["model_spec"]["version"] == "122"


@pytest.mark.parametrize(
    ("method", "path", "document", "status", "problem"),
    [
        ("POST", "half:predict", {"instances": [1.0]}, 404, "Servable not found for request: Latest(half)"),
        ("POST", f"{MODEL}/versions/7:predict", {}, 404, f"Servable not found for request: Specific({MODEL}, 7)"),
        ("POST", f"{MODEL}/labels/none:predict", {}, 400, "Unrecognized servable version label: none"),
        ("POST", f"{MODEL}/versions/x:predict", {}, 400, "Failed to convert version: x to numeric."),
        ("POST", f"{MODEL}/versions/{2**63}:predict", {}, 400, "Failed to convert version"),
        ("POST", f"{MODEL}:translate", {}, 400, f"Malformed request: POST /v1/models/{MODEL}:translate"),
        ("GET", f"{MODEL}:predict", None, 400, f"Malformed request: GET /v1/models/{MODEL}:predict"),
        ("PUT", f"{MODEL}", {}, 400, "Malformed request: PUT"),
        ("GET", "half", None, 404, "Could not find any versions of model half"),
        ("GET", f"{MODEL}/versions/7", None, 404, f"Could not find version 7 of model {MODEL}"),
        ("GET", "half/metadata", None, 404, "Servable not found for request: Latest(half)"),
        ("POST", f"{MODEL}:predict", {"instances": [1.0], "signature_name": "no"}, 400, 'key "no" not found'),
        ("POST", f"{MODEL}:predict", b"", 400, "JSON"),
        ("POST", f"{MODEL}:predict", {"instances": ["a"]}, 400, "instances"),
        ("POST", f"{MODEL}:classify", {"examples": [{"x": 1.0}]}, 400, "Expected Tensor shape"),
        ("POST", f"{MODEL}:regress", {"examples": [{"x": "a"}]}, 400, "examples[0]['x']: FP32 takes a float_list"),
        ("POST", f"{MODEL}:regress", {"examples": [{"y": 1.0}]}, 400, "examples[0]['x']: the feature is missing"),
        ("POST", f"{MODEL}:regress", {"examples": [{"x": [1.0, 2.0]}]}, 400, "1 values are expected"),
    ],
)
def test_bad_requests_get_tensorflow_servings_status_and_words(rest, method, path, document, status, problem):
    answered, body = rest(method, path, document)
    assert answered == status
    assert body.keys() == {"error"}
    assert problem in body["error"]


def test_outputs_that_are_no_rows_are_refused_in_row_form(rest):
    status, body = rest("POST", "pair:predict", {"instances": [{"a": [1, 2], "b": [3, 4]}]})
    assert (status, body) == (200, {"predictions": [{"sum": [4.0, 6.0], "difference": [-2.0, -2.0]}]})
    columns = {"inputs": {"a": [[1, 2]], "b": [[3, 4]], "ignored": 1}}
    status, body = rest("POST", "pair:predict", columns)
    assert (status, body) == (200, {"outputs": {"sum": [[4.0, 6.0]], "difference": [[-2.0, -2.0]]}})


# gRPC, as TensorFlow Serving's tests have it


def test_predict_answers_in_the_typed_field_that_the_example_clients_read(rpc):
    answer = rpc("PredictionService", "Predict", predict(), "PredictResponse")
    assert list(answer.outputs["y"].float_val) == [3.0]
    spec = answer.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == (MODEL, 123, "serving_default")
    assert list(rpc("PredictionService", "Predict", predict(122), "PredictResponse").outputs["y"].float_val) == [2.0]
    assert (
        rpc("PredictionService", "Predict", predict(label="stable"), "PredictResponse").model_spec.version.value == 122
    )


def test_classify_regress_and_both_at_once(rpc):
    request = add_example(message("ClassificationRequest", signature="classify_x_to_y"), x=[2.0])
    answer = rpc("PredictionService", "Classify", request, "ClassificationResponse")
    assert [(one.label, one.score) for one in answer.result.classifications[0].classes] == [("", 3.0)]
    assert (answer.model_spec.signature_name, answer.model_spec.version.value) == ("classify_x_to_y", 123)

    request = add_example(message("RegressionRequest", label="stable", signature="regress_x_to_y"), x=[2.0])
    answer = rpc("PredictionService", "Regress", request, "RegressionResponse")
    assert [one.value for one in answer.result.regressions] == [2.0]
    assert answer.model_spec.version.value == 122

    request = message_class(f"{SERVING}.MultiInferenceRequest")()
    for task in ("regress", "classify"):
        added = request.tasks.add(method_name=f"tensorflow/serving/{task}")
        fill_spec(added.model_spec, MODEL, signature=f"{task}_x_to_y")
    answer = rpc("PredictionService", "MultiInference", add_example(request, x=[2.0]), "MultiInferenceResponse")
    assert answer.results[0].regression_result.regressions[0].value == 3.0
    assert answer.results[1].classification_result.classifications[0].classes[0].score == 3.0
    assert [result.model_spec.signature_name for result in answer.results] == ["regress_x_to_y", "classify_x_to_y"]


def test_a_model_of_plain_tensors_is_classified_and_regressed_by_its_features(rpc):
    request = add_example(message("ClassificationRequest", "double"), x=[1.0, 2.0])
    answer = rpc("PredictionService", "Classify", add_example(request, x=[3.0, 4.0]), "ClassificationResponse")
    scores = [[(one.label, one.score) for one in row.classes] for row in answer.result.classifications]
    assert scores == [[("0", 2.0), ("1", 4.0)], [("0", 6.0), ("1", 8.0)]]
    request = add_example(message("RegressionRequest"), x=[2.0])
    assert rpc("PredictionService", "Regress", request, "RegressionResponse").result.regressions[0].value == 3.0


def test_metadata_and_status(rpc):
    request = message("GetModelMetadataRequest")
    request.metadata_field.append("signature_def")
    answer = rpc("PredictionService", "GetModelMetadata", request, "GetModelMetadataResponse")
    definitions = message_class(f"{SERVING}.SignatureDefMap")()
    answer.metadata["signature_def"].Unpack(definitions)
    assert "regress_x_to_y" in definitions.signature_def
    assert answer.model_spec.version.value == 123
    answer = rpc("ModelService", "GetModelStatus", message("GetModelStatusRequest"), "GetModelStatusResponse")
    assert [(one.version, one.state) for one in answer.model_version_status] == [(122, 30), (123, 30)]


@pytest.mark.parametrize(
    ("method", "request_", "code", "problem"),
    [
        ("Predict", predict(model="half"), "NOT_FOUND", r"Servable not found for request: Latest\(half\)"),
        ("Predict", predict(7), "NOT_FOUND", rf"Servable not found for request: Specific\({MODEL}, 7\)"),
        ("Predict", predict(label="no"), "INVALID_ARGUMENT", "Unrecognized servable version label: no"),
        ("Predict", predict(signature="no"), "FAILED_PRECONDITION", 'Serving signature key "no" not found'),
        ("Predict", predict(name="z"), "INVALID_ARGUMENT", "unknown input 'z'"),
        ("Predict", predict(model=""), "INVALID_ARGUMENT", "ModelSpec has no name specified"),
        ("Predict", message_class(f"{SERVING}.PredictRequest")(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        ("Classify", message("ClassificationRequest", signature="no"), "INVALID_ARGUMENT", '"no" not found'),
        ("Regress", message("RegressionRequest"), "INVALID_ARGUMENT", "Input is empty"),
        ("GetModelMetadata", message("GetModelMetadataRequest"), "INVALID_ARGUMENT", "at least one metadata_field"),
        ("MultiInference", message_class(f"{SERVING}.MultiInferenceRequest")(), "INVALID_ARGUMENT", "tasks"),
    ],
)
def test_bad_calls_get_tensorflow_servings_code_and_words(rpc, method, request_, code, problem):
    answered, details = rpc("PredictionService", method, request_, "PredictResponse")
    assert answered.name == code
    assert problem.replace("\\", "") in details


def test_the_status_of_an_unknown_model(rpc):
    request = message("GetModelStatusRequest", "half")
    code, details = rpc("ModelService", "GetModelStatus", request, "GetModelStatusResponse")
    assert (code.name, details) == ("NOT_FOUND", "Could not find any versions of model half")


# what only the server with the models has


def test_a_picture_is_classified_by_the_models_own_preprocessing(loop, fronts):
    picture = io.BytesIO()
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).save(picture, "PNG")
    body = {"examples": [{"image": {"b64": base64.b64encode(picture.getvalue()).decode()}}]}
    path = "/v1/models/picture:classify"
    status, answer = loop.run(exchange(fronts["server"]["http"], "POST", path, json.dumps(body).encode()))
    assert status == 200
    assert [label for label, _ in json.loads(answer)["results"][0]] == [str(index) for index in range(12)]
    # As a client sends it whose model decodes pictures itself.
    body = {"instances": [{"b64": base64.b64encode(picture.getvalue()).decode()}]}
    path = "/v1/models/picture:predict"
    status, answer = loop.run(exchange(fronts["server"]["http"], "POST", path, json.dumps(body).encode()))
    assert (status, json.loads(answer)["predictions"]) == (200, [[float(value) for value in range(12)]])


def test_models_are_not_changed_by_those_who_may_not(loop, fronts):
    async def call():
        async with grpc.aio.insecure_channel(fronts["server"]["grpc"]) as channel:
            await channel.unary_unary(f"/{SERVING}.ModelService/HandleReloadConfigRequest")(b"")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        loop.run(call())
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_model_that_is_not_ready_is_not_available(loop, tmp_path):
    """Of the store and behind a server that is away; and known by name only."""
    down = {"kind": "tfserving", "grpc": "127.0.0.1:1", "models": ["double", "elsewhere"]}

    async def statuses():
        async with running(settings(make_store(tmp_path), {"tfs": down}, models=["double"])) as (_, front):
            return [await exchange(front["http"], "GET", f"/v1/models/{name}") for name in ("double", "elsewhere")]

    (known, document), (unknown, refusal) = loop.run(statuses())
    (version,) = json.loads(document)["model_version_status"]
    assert (known, version["version"], version["state"]) == (200, "1", "LOADING")
    assert version["status"] == {
        "error_code": "UNAVAILABLE",
        "error_message": "tfs: backend 'tfs' refused the connection",
    }
    assert unknown == 503
    assert "refused the connection" in json.loads(refusal)["error"]
