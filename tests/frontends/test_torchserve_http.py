"""TorchServe's HTTP protocol in front of real models: every kind of body, its answers, its errors."""

import asyncio
import base64
import io
import json
import urllib.parse

import aiohttp
import numpy as np
import pytest
import uvloop
from PIL import Image
from support.gateways import ENGINE, running, settings
from support.tiny_store import make_classifier, make_raw_store, make_store

from gateway.codecs import oip_http
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def address(loop, tmp_path_factory):
    """Of a gateway with this door alone."""
    root = make_raw_store(make_store(tmp_path_factory.mktemp("store")))
    make_classifier(root)
    context = running(
        settings(
            root,
            {"here": ENGINE},
            protocols=["torchserve"],
            limits={"body_bytes": 100_000, "tensors": 8},
            control={"loopback": True},
        )
    )
    yield loop.run(context.__aenter__())[1]["http"]
    loop.run(context.__aexit__(None, None, None))


@pytest.fixture
def ask(loop, address):
    """Status, headers and body of one exchange; ``body`` bytes, or form data of aiohttp's."""

    async def exchange(method, path, body, headers):
        skipped = [] if isinstance(body, aiohttp.FormData) else ["Content-Type"]
        async with aiohttp.ClientSession(skip_auto_headers=skipped) as session:
            async with session.request(method, f"http://{address}{path}", data=body, headers=headers) as answer:
                return answer.status, answer.headers, await answer.read()

    def ask(method, path, body=None, headers=None):
        return loop.run(exchange(method, path, body, headers))

    return ask


@pytest.fixture
def predict(ask):
    def predict(model, body, content_type=None, path="/predictions/{}", method="POST"):
        headers = {} if content_type is None else {"Content-Type": content_type}
        status, _, answer = ask(method, path.format(model), body, headers)
        return status, json.loads(answer)

    return predict


def picture(*pixels):
    """A PNG of 2 × 2 pixels, grey levels."""
    buffer = io.BytesIO()
    Image.fromarray(np.array([[[p] * 3 for p in pixels[:2]], [[p] * 3 for p in pixels[2:]]], np.uint8)).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


ROW = [0, 0, 0, 50, 50, 50, 100, 100, 100, 200, 200, 200]
PNG = picture(0, 50, 100, 200)
BASE64 = base64.b64encode(PNG).decode()

# pictures


@pytest.mark.parametrize("content_type", [None, "application/octet-stream", "image/png", "image/jpeg; q=1"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_picture_is_prepared_and_its_row_is_the_answer(predict, content_type, method):
    assert predict("picture", PNG, content_type, method=method) == (200, ROW)


def test_a_classifier_answers_as_image_classifier_does(predict):
    status, classes = predict("classifier", PNG)
    assert status == 200
    assert list(classes) == ["l9", "l10", "l11", "l6", "l7"]  # best first, five of twelve
    values = np.exp(np.array(ROW, np.float64) - 200)
    expected = values / values.sum()
    np.testing.assert_allclose(list(classes.values()), expected[[9, 10, 11, 6, 7]], rtol=1e-5)


def test_a_classifier_given_tensors_answers_with_them(predict):
    assert predict("classifier", json.dumps([ROW]).encode(), "application/json") == (200, [ROW])


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"data": BASE64}, ROW),
        ({"body": {"b64": BASE64}}, ROW),
        ({"instances": [{"data": BASE64}, {"b64": BASE64}]}, {"predictions": [ROW, ROW]}),
        ([BASE64, BASE64], [ROW, ROW]),
    ],
)
def test_pictures_in_json_are_base64(predict, document, answer):
    assert predict("picture", json.dumps(document).encode(), "application/json") == (200, answer)


def test_a_picture_in_a_form(ask):
    for name in ("data", "body", "whatever"):
        form = aiohttp.FormData(quote_fields=False)
        form.add_field(name, PNG, filename="a.png", content_type="image/png")
        status, _, body = ask("POST", "/predictions/picture", form)
        assert (status, json.loads(body)) == (200, ROW)


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (b"no picture", None, "element 0"),
        (b"", "image/png", "element 0"),
        (json.dumps({"data": "%%%"}).encode(), "application/json", "data: no valid Base64"),
    ],
)
def test_what_is_no_picture_is_refused(predict, body, content_type, problem):
    status, error = predict("picture", body, content_type)
    assert (status, error["code"], error["type"]) == (400, 400, "BadRequestException")
    assert problem in error["message"]


# texts


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"hello world", "text/plain"),
        (b"hello world", "text/plain; charset=utf-8"),
        (b"hello world", None),
        (b'{"data": "hello world"}', "application/json"),
        (b"data=hello+world", "application/x-www-form-urlencoded"),
    ],
)
def test_a_text(predict, body, content_type):
    status, row = predict("text", body, content_type)
    assert status == 200
    assert all(isinstance(value, int) for value in row)
    assert predict("text", b'{"instances": ["hello world"]}', "application/json") == (200, {"predictions": [row]})


# tensors


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ({"instances": [[1, 2], [3, 4]]}, {"predictions": [[2, 4], [6, 8]]}),
        ({"instances": [{"x": [1, 2]}]}, {"predictions": [[2, 4]]}),
        ({"instances": [{"data": [1, 2]}]}, {"predictions": [[2, 4]]}),
        ({"data": [[1, 2], [3, 4]]}, [[2, 4], [6, 8]]),
        ({"body": [1, 2]}, [2, 4]),  # a sample without batch dimension is answered without one
        ([[1, 2]], [[2, 4]]),
        ([1, 2], [2, 4]),
        ({"x": [[1, 2]]}, [[2, 4]]),
        ({"data": {"x": [1, 2]}}, [2, 4]),
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", None, "application/octet-stream"])
def test_tensors_as_json(predict, document, answer, content_type):
    assert predict("double", json.dumps(document).encode(), content_type) == (200, answer)


def test_several_inputs_and_outputs_go_by_name(predict, ask):
    columns = {"a": [[1, 2], [3, 4]], "b": [[10, 20], [30, 40]]}
    results = {"sum": [[11, 22], [33, 44]], "difference": [[-9, -18], [-27, -36]]}
    assert predict("pair", json.dumps(columns).encode(), "application/json") == (200, results)
    rows = [{"a": [1, 2], "b": [10, 20]}]
    assert predict("pair", json.dumps({"instances": rows}).encode(), "application/json") == (
        200,
        {"predictions": [{"sum": [11, 22], "difference": [-9, -18]}]},
    )
    form = aiohttp.FormData()
    for name, column in columns.items():
        form.add_field(name, json.dumps(column), content_type="application/json")
    status, _, body = ask("POST", "/predictions/pair", form)
    assert (status, json.loads(body)) == (200, results)
    encoded = urllib.parse.urlencode({name: json.dumps(column[0]) for name, column in columns.items()}).encode()
    assert predict("pair", encoded, "application/x-www-form-urlencoded") == (
        200,
        {"sum": [11, 22], "difference": [-9, -18]},
    )


@pytest.mark.parametrize("path", ["/predictions/double", "/predictions/double/1", "/v2/models/double/infer"])
def test_oip_bodies_are_answered_in_their_form(ask, path):
    x = Tensor.from_numpy("x", np.array([[1, 2]], np.float32))
    request = InferRequest("double", (x,), RequestContext("test"), id="7")
    for binary in (True, False):
        body, length = oip_http.encode_request(request, binary=binary)
        headers = {} if length is None else {"Inference-Header-Content-Length": str(length)}
        status, answered, body = ask("POST", path, body, headers)
        assert status == 200
        found = answered.get("Inference-Header-Content-Length")
        assert (found is None) is not binary
        response = oip_http.decode_response(body, None if found is None else int(found))
        assert response.outputs[0].to_numpy().tolist() == [[2, 4]]
        assert response.id == "7"


@pytest.mark.parametrize(
    "path",
    [
        "/predictions/{}/1",
        "/predictions/{}/1.0",
        "/v1/models/{}:predict",
        "/models/{}/invoke",
        "/invocations?model_name={}",
    ],
)
def test_all_paths_of_an_inference(predict, path):
    assert predict("double", b'{"instances": [[1, 2]]}', "application/json", path=path) == (
        200,
        {"predictions": [[2, 4]]},
    )


# refusals


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "kind", "problem"),
    [
        ("POST", "/predictions/nope", b"[]", {}, 404, "ModelNotFoundException", "unknown model 'nope'"),
        ("POST", "/predictions/double/9", b"[]", {}, 404, "ModelNotFoundException", "no version '9'"),
        ("POST", "/predictions", b"[]", {}, 404, "ResourceNotFoundException", "unknown path"),
        ("GET", "/nothing", None, {}, 404, "ResourceNotFoundException", "unknown path"),
        ("GET", "/predictions/double", None, {}, 405, "MethodNotAllowedException", "POST or PUT"),
        ("POST", "/explanations/double", b"[]", {}, 501, "NotImplementedException", "explanations"),
        ("POST", "/v1/models/double:explain", b"[]", {}, 501, "NotImplementedException", "explanations"),
        ("PUT", "/models/double?min_worker=3", b"", {}, 501, "NotImplementedException", "number of workers"),
        ("PUT", "/models/double/9/set-default", b"", {}, 404, "ModelNotFoundException", "no version '9'"),
        ("POST", "/predictions/double", b"\0" * 100_001, {}, 413, "TooLongFrameException", "over the limit"),
        ("POST", "/predictions/double", b"\0", {}, 400, "BadRequestException", "neither pictures nor texts"),
        ("POST", "/predictions/double", b"{", {}, 400, "BadRequestException", "JSON"),
        ("POST", "/predictions/double", b"[" * 5000, {}, 400, "BadRequestException", "nested deeper"),
        ("POST", "/predictions/double", b"[[1], [1, 2]]", {}, 400, "BadRequestException", "rows differ"),
        ("POST", "/predictions/double", b'[["a", "b"]]', {}, 400, "BadRequestException", "float"),
        ("POST", "/predictions/double", b'{"q": [[1, 2]]}', {}, 400, "BadRequestException", "unknown input 'q'"),
        ("POST", "/predictions/double", b'{"instances": 1}', {}, 400, "BadRequestException", "instances"),
        ("POST", "/predictions/pair", b"[[1, 2]]", {}, 400, "BadRequestException", "name them"),
        ("POST", "/predictions/pair", b'{"a": [1, 2]}', {}, 400, "BadRequestException", "'b' is missing"),
        ("POST", "/predictions/pair", b'{"a": [1, 2], "b": [[1, 2]]}', {}, 400, "BadRequestException", "batch"),
        ("POST", "/predictions/double", b"[[1, 2]]", {"Content-Type": "multipart/form-data"}, 400,
         "BadRequestException", "boundary"),
        ("POST", "/predictions/double", b"[[1, 2]]", {"Inference-Header-Content-Length": "-1"}, 400,
         "BadRequestException", "Inference-Header-Content-Length"),
        ("POST", "/predictions/double", b"[[1, 2]]", {"x-gateway-backend": "b"}, 400, "BadRequestException",
         "no backend"),
        ("POST", "/invocations", b"[[1, 2]]", {}, 400, "BadRequestException", "model_name"),
        ("POST", "/models", b"", {}, 400, "BadRequestException", "url: it is required"),
        ("POST", "/models?url=https%3A%2F%2Fa.example%2Fm.mar", b"", {}, 403, "InvalidKeyException", "fetched"),
        ("POST", "/models?url=..%2Fm.mar", b"", {}, 403, "InvalidKeyException", "fetched"),
        ("POST", "/models?url=double.mar", b"", {}, 409, "ConflictStatusException", "already registered"),
        ("POST", "/models?url=nope.mar", b"", {}, 404, "ModelNotFoundException", "nope"),
        ("DELETE", "/models/nope", b"", {}, 404, "ModelNotFoundException", "nope"),
        ("DELETE", "/models/double/7", b"", {}, 404, "ModelNotFoundException", "7"),
        ("GET", "/models/nope", b"", {}, 404, "ModelNotFoundException", "nope"),
    ],
)  # fmt: skip
def test_refusals_are_torchserves(ask, method, path, body, headers, status, kind, problem):
    got, _, answer = ask(method, path, body, headers)
    error = json.loads(answer)
    assert (got, error["code"], error["type"]) == (status, status, kind)
    assert problem in error["message"]


def test_a_form_with_too_many_parts_is_refused(ask):
    form = aiohttp.FormData()
    for index in range(9):
        form.add_field(f"p{index}", "x", filename="f")
    status, _, answer = ask("POST", "/predictions/double", form)
    assert status == 413
    assert "limit of 8" in json.loads(answer)["message"]


# management


def test_health_and_models(ask):
    def get(path):
        status, _, body = ask("GET", path)
        assert status == 200
        return json.loads(body)

    assert get("/ping") == {"status": "Healthy"}
    names = [model["modelName"] for model in get("/models")["models"]]
    assert names == sorted(names)
    assert {"double", "picture", "classifier"} <= set(names)
    first = get("/models?limit=2")
    assert [model["modelName"] for model in first["models"]] == names[:2]
    second = get(f"/models?limit=100&next_page_token={first['nextPageToken']}")
    assert [model["modelName"] for model in second["models"]] == names[2:]
    assert "nextPageToken" not in second
    (described,) = get("/models/double")
    assert (described["modelName"], described["modelVersion"]) == ("double", "1")
    assert [(worker["id"], worker["status"]) for worker in described["workers"]] == [("here", "READY")]
    assert get("/models/double/all") == get("/models/double/1.0") == [described]
    status, _, body = ask("PUT", "/models/double/1.0/set-default")
    assert (status, json.loads(body)["status"]) == (
        200,
        'Default version successfully updated for model "double" to "1.0"',
    )
    assert get("/v1/models/double") == get("/v2/models/double/ready") == {"name": "double", "ready": True}
    assert get("/v1/models")["models"] == names
    assert get("/v2/health/live") == {"live": True}
    assert get("/v2/health/ready") == {"ready": True}
    assert get("/v2")["name"] == "serving-gateway"


def test_the_description_of_the_api_names_every_operation(ask):
    status, _, body = ask("OPTIONS", "/")
    assert status == 200
    document = json.loads(body)
    assert document["openapi"].startswith("3.")
    assert "put" in document["paths"]["/predictions/{name}"]
    assert "/explanations/{name}" not in document["paths"]


def test_a_model_is_unregistered_and_registered(ask, predict):
    status, _, body = ask("DELETE", "/models/same-INT8/1")
    assert (status, json.loads(body)) == (200, {"status": 'Model "same-INT8" unregistered'})
    assert predict("same-INT8", b"[1, 2]")[0] == 404
    document = json.dumps({"url": "same-INT8.mar", "initial_workers": 1}).encode()
    status, _, body = ask("POST", "/models", document, {"Content-Type": "application/json"})
    assert (status, json.loads(body)) == (
        200,
        {"status": 'Model "same-INT8" Version: 1 registered with 1 initial workers'},
    )
    assert predict("same-INT8", b"[1, 2]") == (200, [1, 2])
