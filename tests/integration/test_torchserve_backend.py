"""The gateway in front of the real TorchServe: users' own archives with every payload, the store's, model control."""

import asyncio
import contextlib
import io
import json

import aiohttp
import grpc
import numpy as np
import pytest
import uvloop
from PIL import Image
from support.gateways import running, settings
from support.tiny_store import make_store
from support.torchserve_server import make_archive, make_oip_archive, running_torchserve

from gateway.codecs import oip_http
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from gateway.protos.loader import message_class

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

# Doubles the rows of a JSON document; over gRPC, which tells no type, it gets bytes.
ROWS = """
import json

def handle(data, context):
    if data is None:
        return None
    answers = []
    for request in data:
        body = request["body"]
        document = body if isinstance(body, dict) else json.loads(bytes(body))
        answers.append({"predictions": [[2 * value for value in row] for row in document["instances"]]})
    return answers
"""

# Gives the body back, with the type that the client said it has.
ECHO = """
def handle(data, context):
    if data is None:
        return None
    answers = []
    for index, request in enumerate(data):
        headers = {name.lower(): value for name, value in context.get_all_request_header(index).items()}
        context.set_response_content_type(index, headers.get("content-type", "text/unknown"))
        body = request.get("body", request.get("data"))
        answers.append(body if isinstance(body, (bytes, bytearray, str)) else __import__("json").dumps(body))
    return answers
"""

# Probability by label, as TorchServe's image_classifier.
CLASSES = """
import io
from PIL import Image

def handle(data, context):
    if data is None:
        return None
    answers = []
    for request in data:
        picture = Image.open(io.BytesIO(request.get("data") or request.get("body")))
        grey = picture.convert("L").getpixel((0, 0)) / 255
        answers.append({"bright": grey, "dark": 1 - grey})
    return answers
"""

# Tells the parts it got.
FORM = """
def handle(data, context):
    if data is None:
        return None
    return [
        {name: bytes(value).hex() if isinstance(value, (bytes, bytearray)) else value for name, value in row.items()}
        for row in data
    ]
"""

# Fails as the body says.
FAILING = """
from ts.utils.util import PredictionException

def handle(data, context):
    if data is None:
        return None
    wanted = bytes(data[0]["body"]).decode()
    if wanted == "raise":
        raise RuntimeError("/secret/path")
    if wanted == "refuse":
        raise PredictionException("/secret/path", 400)
    for index in range(len(data)):
        context.set_response_status(int(wanted), "as asked", index)
    return ["answer"] * len(data)
"""

VERSION = """
def handle(data, context):
    return None if data is None else [context.manifest["model"]["modelVersion"]] * len(data)
"""

ROW = {"name": "x", "datatype": "FP32", "shape": [-1, 2]}
TEXT = [{"name": "picture", "datatype": "BYTES", "shape": [-1]}]
HANDLERS = {
    "rows": {"payload": "json", "inputs": [ROW], "outputs": [ROW | {"name": "y"}], "max_batch_size": 8},
    "echo": {"payload": "raw"},
    "failing": {"payload": "raw"},
    "version": {"payload": "raw"},
    "later": {"payload": "raw"},
    "last": {"payload": "raw"},
    "classes": {
        "payload": "raw",
        "content_type": "image/png",
        "inputs": TEXT,
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [-1, 2]}],
        "labels": ["dark", "bright"],
        "max_batch_size": 4,
    },
    "form": {
        "payload": "multipart",
        "inputs": [{"name": "a", "datatype": "BYTES", "shape": [-1]}, ROW],
        "outputs": [{"name": "parts", "datatype": "BYTES", "shape": [-1]}],
        "max_batch_size": 4,
    },
}
LOADED = ["rows", "echo", "failing", "version", "classes", "form", "double"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("torchserve")


@pytest.fixture(scope="module")
def store(folder):
    """A model store with ``double`` alone."""
    root = make_store(folder / "all")
    (folder / "models").mkdir()
    return (root / "double").rename(folder / "models" / "double").parent


@pytest.fixture(scope="module")
def torchserve(folder, store):
    sources = {
        "rows": ROWS,
        "echo": ECHO,
        "failing": FAILING,
        "classes": CLASSES,
        "form": FORM,
        "later": VERSION,
        "last": VERSION,
    }
    for name, source in sources.items():
        make_archive(folder, name, source)
    make_archive(folder, "version", VERSION)
    second = make_archive(folder, "version", VERSION, "2.0", target=folder / "second")
    second.rename(folder / "store" / "version2.mar")
    signature = {"inputs": [ROW], "outputs": [ROW | {"name": "y"}]}
    make_oip_archive(folder, "double", store / "double" / "1" / "onnx" / "model.onnx", signature)
    with running_torchserve(folder, LOADED) as server:
        answer = server.manage("/models?url=version2.mar&model_name=version&initial_workers=1&synchronous=true", "POST")
        assert answer[0] == 200, answer
        yield server


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def fronts(loop, store, torchserve):
    """Addresses of two gateways, which speak to the server over HTTP and over gRPC."""
    exits = contextlib.AsyncExitStack()
    common = {
        "kind": "torchserve",
        "url": torchserve.url("inference"),
        "grpc": f"127.0.0.1:{torchserve.ports['grpc_inference']}",
        "management": torchserve.url("management"),
        "token_file": torchserve.key_file,
        "handlers": HANDLERS,
    }

    async def start():
        fronts = {}
        for protocol in ("http", "grpc"):
            configuration = settings(
                store, {"ts": common | {"protocol": protocol}}, control={"loopback": True}, health={"interval": 0.2}
            )
            fronts[protocol] = (await exits.enter_async_context(running(configuration)))[1]
        return fronts

    yield loop.run(start())
    loop.run(exits.aclose())


@pytest.fixture(params=["http", "grpc"])
def front(request, fronts):
    return fronts[request.param]


@pytest.fixture
def ask(loop, front):
    """Status, headers and body of one exchange with the gateway."""

    async def exchange(method, path, body, headers):
        skipped = [] if isinstance(body, aiohttp.FormData) else ["Content-Type"]
        async with aiohttp.ClientSession(skip_auto_headers=skipped) as session:
            async with session.request(method, f"http://{front['http']}{path}", data=body, headers=headers) as answer:
                return answer.status, answer.headers, await answer.read()

    def ask(method, path, body=None, headers=None):
        return loop.run(exchange(method, path, body, headers))

    return ask


@pytest.fixture
def infer(ask):
    """The outputs of an OIP inference, as arrays by name."""

    def infer(model, **arrays):
        inputs = tuple(Tensor.from_numpy(name, array) for name, array in arrays.items())
        body, length = oip_http.encode_request(InferRequest(model, inputs, RequestContext("test")))
        path = oip_http.infer_path(model)
        status, headers, body = ask("POST", path, body, {oip_http.HEADER_LENGTH: str(length)})
        assert status == 200, body
        response = oip_http.decode_response(body, int(headers[oip_http.HEADER_LENGTH]))
        return {output.name: output.to_numpy() for output in response.outputs}

    return infer


def png(level):
    buffer = io.BytesIO()
    Image.new("L", (3, 3), level).save(buffer, "PNG")
    return buffer.getvalue()


def texts(*elements):
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def test_the_stores_archive(infer, ask):
    values = np.array([[1.5, -0.0], [1e-45, 3e38 / 2]], np.float32)
    assert infer("double", x=values)["y"].tobytes() == (values * 2).tobytes()
    assert np.isnan(infer("double", x=np.full((1, 2), np.nan, np.float32))["y"]).all()  # JSON has none
    assert ask("GET", "/v2/models/double")[0] == 200


def test_json_rows(infer, ask):
    assert infer("rows", x=np.array([[1, 2], [3, 4]], np.float32))["y"].tolist() == [[2, 4], [6, 8]]
    status, _, body = ask("POST", "/v1/models/rows:predict", b'{"instances": [[1, 2]]}')
    assert (status, json.loads(body)) == (200, {"predictions": [[2.0, 4.0]]})
    status, _, body = ask("POST", "/predictions/rows", b"[1, 2]")
    assert (status, json.loads(body)) == (200, [2.0, 4.0])
    assert ask("POST", "/predictions/rows", b"[[1, 2, 3]]")[0] == 400  # the gateway knows the shape


def test_labels_become_scores(infer, ask):
    scores = infer("classes", picture=texts(png(255), png(0), png(51)))["scores"]
    np.testing.assert_allclose(scores, [[0, 1], [1, 0], [0.8, 0.2]], rtol=1e-6)
    status, _, body = ask("POST", "/predictions/classes", png(51), {"Content-Type": "image/png"})
    assert status == 200
    np.testing.assert_allclose(json.loads(body), [0.8, 0.2], rtol=1e-6)


def test_a_form_of_the_inputs(infer):
    parts = infer("form", a=texts(b"\x00\xff", b""), x=np.array([[1, 2], [3, 4]], np.float32))["parts"]
    first, second = (json.loads(element) for element in parts)
    numbers = first["x"] if isinstance(first["x"], list) else json.loads(bytes.fromhex(first["x"]))
    assert (first["a"], numbers) == ("00ff", [1.0, 2.0])
    assert second["a"] == ""


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (bytes(range(256)), "image/jpeg"),
        (b"\xff", "application/x-thing; q=1"),
        (b"text", "text/plain"),
        (b'{"any": [1, "document"]}', "application/json"),
        (b"", "application/octet-stream"),
    ],
)
def test_a_body_that_only_its_handler_understands_passes_untouched(ask, fronts, front, body, content_type):
    status, headers, answer = ask("POST", "/predictions/echo", body, {"Content-Type": content_type})
    assert (status, answer) == (200, body)
    if front is fronts["http"]:  # gRPC carries no types
        assert headers["Content-Type"] == content_type


def test_a_form_for_such_a_handler_passes_untouched(ask):
    form = aiohttp.FormData()
    form.add_field("data", b"\x00\x01", filename="f", content_type="image/png")
    status, _, answer = ask("POST", "/predictions/echo", form)
    assert (status, answer) == (200, b"\x00\x01")


def test_such_a_handler_is_reached_over_every_protocol(loop, front, infer):
    assert infer("echo", body=texts(b"\x00raw"))["body"].tolist() == [b"\x00raw"]
    request = message_class("org.pytorch.serve.grpc.inference.PredictionsRequest")
    response = message_class("org.pytorch.serve.grpc.inference.PredictionResponse")

    async def ask():
        async with grpc.aio.insecure_channel(front["grpc"]) as channel:
            method = channel.unary_unary("/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions")
            return await method(request(model_name="echo", input={"data": b"\x00raw"}).SerializeToString())

    assert response.FromString(loop.run(ask())).prediction == b"\x00raw"


@pytest.mark.parametrize(
    ("wanted", "status", "kind"),
    [
        (b"raise", 500, "InternalServerException"),
        (b"refuse", 400, "BadRequestException"),
        (b"418", 400, "BadRequestException"),
        (b"500", 500, "InternalServerException"),
        (b"503", 503, "ServiceUnavailableException"),
    ],
)
def test_errors_of_a_handler(ask, fronts, front, wanted, status, kind):
    got, _, body = ask("POST", "/predictions/failing", wanted)
    assert b"/secret" not in body
    if front is fronts["http"]:
        assert (got, json.loads(body)["type"]) == (status, kind)
    elif wanted.isdigit():
        assert (got, body) == (200, b"answer")  # TorchServe's gRPC loses the status that a handler sets
    else:
        assert got >= 400


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        ("/predictions/echo", b"\x00\xff", "image/jpeg"),
        ("/predictions/echo", b'{"a": 1}', "application/json"),
        ("/predictions/echo", b"text", "text/plain"),
        ("/predictions/version/1.0", b"x", "text/plain"),
        ("/predictions/rows", b'{"instances": [[1, 2], [3, 4]]}', "application/json"),
        ("/predictions/failing", b"raise", "text/plain"),
        ("/predictions/nope", b"x", "text/plain"),
        ("/predictions/version/7.0", b"x", "text/plain"),
    ],
)
def test_a_client_cannot_tell_the_gateway_from_the_server(loop, fronts, torchserve, path, body, content_type):
    key = json.loads(torchserve.key_file.read_text())["inference"]["key"]
    headers = {"Content-Type": content_type, "Authorization": f"Bearer {key}"}

    async def ask(url):
        async with aiohttp.ClientSession() as session, session.post(url + path, data=body, headers=headers) as answer:
            return answer.status, answer.headers.get("Content-Type"), await answer.read()

    theirs = loop.run(ask(torchserve.url("inference")))
    ours = loop.run(ask(f"http://{fronts['http']['http']}"))
    if theirs[0] >= 400:
        assert json.loads(ours[2]).keys() == json.loads(theirs[2]).keys()
        kinds = [json.loads(answer[2])["type"] for answer in (theirs, ours)]
        # What a handler breaks is a fault of this one request, and no reason to come back later: 500, not 503.
        assert (ours[0], kinds[1]) == (theirs[0], kinds[0].replace("Version", "")) or path == "/predictions/failing"
    elif path == "/predictions/rows":
        assert (ours[0], json.loads(ours[2])) == (theirs[0], json.loads(theirs[2]))
    else:
        assert ours == theirs


def test_versions_are_told_apart(ask):
    assert [model["modelVersion"] for model in json.loads(ask("GET", "/models/version/all")[2])] == ["1", "2"]
    assert ask("POST", "/predictions/version", b"x")[2] == b"2.0"
    assert ask("POST", "/predictions/version/1.0", b"x")[2] == b"1.0"
    assert ask("POST", "/predictions/version/1", b"x")[2] == b"1.0"
    assert ask("POST", "/predictions/version/3.0", b"x")[0] == 404


def test_too_large_a_request_is_refused_before_it_is_sent(ask):
    status, _, body = ask("POST", "/predictions/echo", b"\0" * 6_600_000)
    assert status == 413
    assert "6553500" in json.loads(body)["message"]


def test_model_control_reaches_the_server(ask, fronts, front, torchserve):
    name = "later" if front is fronts["http"] else "last"  # the other gateway learns of it too

    def registered():
        return {model["modelName"] for model in torchserve.manage("/models")[1]["models"]}

    assert name not in registered()
    status, _, body = ask("POST", f"/models?url={name}.mar")
    assert status == 200, body
    assert name in registered()
    assert ask("POST", f"/predictions/{name}", b"x")[2] == b"1.0"
    status, _, body = ask("DELETE", f"/models/{name}")
    assert status == 200, body
    assert name not in registered()
    assert ask("POST", f"/predictions/{name}", b"x")[0] == 404
    assert ask("POST", "/models?url=never-made.mar")[0] == 404


def test_the_stores_archive_is_unloaded_and_loaded(ask, infer):
    assert ask("POST", "/v2/repository/models/double/unload")[0] == 200
    assert ask("GET", "/v2/models/double/ready")[0] != 200
    assert ask("POST", "/v2/repository/models/double/load")[0] == 200
    assert infer("double", x=np.ones((1, 2), np.float32))["y"].tolist() == [[2, 2]]
