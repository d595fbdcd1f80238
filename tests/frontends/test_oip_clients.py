"""Triton's own clients, unmodified, against the Open Inference Protocol's front doors."""

import json
import queue

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.grpc.aio as grpc_aio
import tritonclient.http as http_client
import tritonclient.http.aio as http_aio
from support.triton_models import gateway, sums
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

PROTOCOLS = {"http": (http_client, http_aio), "grpc": (grpc_client, grpc_aio)}


@pytest.fixture(scope="module")
def front(tmp_path_factory):
    with gateway(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(params=PROTOCOLS)
def protocol(request):
    return request.param


@pytest.fixture
def call(front, protocol):
    """Use a blocking client of the protocol, in a thread."""

    def run(function):
        def use():
            with getattr(front, protocol)() as client:
                return function(client, PROTOCOLS[protocol][0])

        return front.blocking(use)

    return run


def check(result, expected):
    for name, array in zip(("OUTPUT0", "OUTPUT1"), expected, strict=True):
        assert (result.as_numpy(name) == array).all()


def test_infer(call):
    def infer(client, module):
        inputs, expected = sums(module)
        check(client.infer("simple", inputs, request_id="7"), expected)
        wanted = [module.InferRequestedOutput("OUTPUT1")]
        result = client.infer("simple", inputs, model_version="1", outputs=wanted, parameters={"any": "thing"})
        assert result.as_numpy("OUTPUT0") is None
        check(client.infer("simple", inputs, outputs=[*wanted, module.InferRequestedOutput("OUTPUT0")]), expected)

    call(infer)


def test_async_infer(call, protocol):
    def infer(client, module):
        inputs, expected = sums(module)
        if protocol == "http":
            for asked in [client.async_infer("simple", inputs) for _ in range(3)]:
                check(asked.get_result(), expected)
        else:
            answers = queue.SimpleQueue()
            for _ in range(3):
                client.async_infer("simple", inputs, lambda result, error: answers.put(error or result))
            for _ in range(3):
                check(answers.get(timeout=10), expected)

    call(infer)


def test_infer_with_asyncio(front, protocol):
    module, aio = PROTOCOLS[protocol]

    async def infer():
        inputs, expected = sums(module)
        async with aio.InferenceServerClient(front.addresses[protocol]) as client:
            check(await client.infer("simple", inputs), expected)

    front.loop.run(infer())


def test_json_both_ways(front):
    def infer():
        inputs, expected = sums(http_client, binary=False)
        outputs = [http_client.InferRequestedOutput(f"OUTPUT{index}", binary_data=False) for index in (0, 1)]
        with front.http() as client:
            check(client.infer("simple", inputs, outputs=outputs), expected)
            check(client.infer("simple", inputs), expected)  # asks for binary outputs, as it lists none

    front.blocking(infer)


def test_strings(call):
    def infer(client, module):
        array = np.array([[b"\xff\0", b"", "ü".encode()]], dtype=object)
        given = module.InferInput("INPUT0", [1, 3], "BYTES")
        given.set_data_from_numpy(array)
        assert client.infer("simple_identity", [given]).as_numpy("OUTPUT0").tolist() == array.tolist()

    call(infer)


@pytest.mark.parametrize(
    ("model", "field", "datatype"),
    [
        ("simple", "int_contents", "INT32"),
        ("simple_int8", "int_contents", "INT8"),
        ("simple_string", "bytes_contents", "BYTES"),
    ],
)
def test_explicit_contents(front, model, field, datatype):
    request = service_pb2.ModelInferRequest(model_name=model)
    for name in ("INPUT0", "INPUT1"):
        tensor = request.inputs.add(name=name, datatype=datatype, shape=[1, 16])
        values = range(16)
        getattr(tensor.contents, field).extend(
            [str(value).encode() for value in values] if datatype == "BYTES" else values
        )

    def infer():
        with front.grpc() as client:
            return client._client_stub.ModelInfer(request)

    result = grpc_client.InferResult(front.blocking(infer))
    assert [int(value) for value in result.as_numpy("OUTPUT0")[0]] == list(range(0, 32, 2))


def test_classes(call):
    def infer(client, module):
        given = module.InferInput("INPUT0", [2, 3], "FP32")
        given.set_data_from_numpy(np.array([[0.25, 1, 0], [3, 2, 1]], np.float32))
        wanted = [module.InferRequestedOutput("OUTPUT0", class_count=2)]
        return client.infer("labelled", [given], outputs=wanted).as_numpy("OUTPUT0").tolist()

    assert call(infer) == [[b"1.000000:1:dog", b"0.250000:0:cat"], [b"3.000000:0:cat", b"2.000000:1:dog"]]


def test_classes_of_what_cannot_be_classified(call):
    def infer(client, module):
        given = module.InferInput("INPUT0", [1, 1], "BYTES")
        given.set_data_from_numpy(np.array([["a"]], dtype=object))
        client.infer("simple_identity", [given], outputs=[module.InferRequestedOutput("OUTPUT0", class_count=2)])

    with pytest.raises(InferenceServerException, match="BYTES cannot be classified"):
        call(infer)


def test_health(call):
    def ask(client, module):
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("simple")
        assert client.is_model_ready("simple", "1")
        assert not client.is_model_ready("unknown")
        assert not client.is_model_ready("simple", "9")
        with pytest.raises(InferenceServerException, match="Request for unknown model"):
            client.get_model_metadata("unknown")
        with pytest.raises(InferenceServerException, match="Request for unknown model"):
            client.infer("unknown", sums(module)[0])

    call(ask)


def as_json(client, method, *arguments):
    extra = {"as_json": True} if isinstance(client, grpc_client.InferenceServerClient) else {}
    return getattr(client, method)(*arguments, **extra)


def test_metadata(call):
    def ask(client, _):
        server = as_json(client, "get_server_metadata")
        return server["extensions"], as_json(client, "get_model_metadata", "simple")["versions"]

    extensions, versions = call(ask)
    assert extensions == [
        "classification",
        "model_repository",
        "model_repository(unload_dependents)",
        "schedule_policy",
        "model_configuration",
        "binary_tensor_data",
        "parameters",
        "statistics",
        "logging",
    ]
    assert versions == ["1"]


def test_configuration(call):
    def ask(client, _):
        return as_json(client, "get_model_config", "picture")

    config = call(ask)
    config = config.get("config", config)
    (given,), (taken,) = config["input"], config["output"]
    assert config["max_batch_size"] == 8
    assert [int(version) for version in config["version_policy"]["specific"]["versions"]] == [1]
    assert not config["model_transaction_policy"].get("decoupled", False)
    assert (given["format"], [int(size) for size in given["dims"]]) == ("FORMAT_NHWC", [8, 8, 3])
    assert taken["label_filename"] == "labels.txt"
    assert "dynamic_batching" not in config


def test_statistics(call):
    def ask(client, module):
        inputs, _ = sums(module)

        def now():
            return as_json(client, "get_inference_statistics", "simple")["model_stats"][0]

        client.infer("simple", inputs)
        before = now()
        client.infer("simple", inputs)
        return before, now()

    before, after = call(ask)
    for name in ("success", "queue", "compute_input", "compute_infer", "compute_output"):
        stats, earlier = after["inference_stats"][name], before["inference_stats"][name]
        assert int(stats["count"]) - int(earlier["count"]) == 1
    assert int(after["inference_stats"]["success"]["ns"]) > int(before["inference_stats"]["success"]["ns"])
    (batch,) = after["batch_stats"]
    assert int(batch["batch_size"]) == 1
    assert int(batch["compute_infer"]["count"]) == int(after["execution_count"])


# the schedule


def test_priority_and_timeout_reach_the_stack_and_the_backend(front, call):
    def infer(client, module):
        client.infer("simple", sums(module)[0], priority=3, timeout=1_500_000)

    call(infer)
    request = front.backend.requests[-1]
    assert (request.context.priority, request.context.queue_timeout) == (3, 1.5)
    assert request.parameters == {"priority": 3, "timeout": 1_500_000}


def test_no_parameter_arrives_by_headers(front, call):
    smuggled = {"priority": "3", "timeout": "1", "sequence_id": "5", "triton_x": "1", "binary_data_output": "true"}

    def infer(client, module):
        client.infer("simple", sums(module)[0], headers=smuggled)

    call(infer)
    request = front.backend.requests[-1]
    assert request.parameters == {}
    assert (request.context.priority, request.context.queue_timeout) == (0, None)


def test_reserved_parameters_are_refused(front):
    body = json.dumps({"inputs": [], "parameters": {"triton_x": 1}})
    status, _, answer = front.ask("POST", "/v2/models/simple/infer", body)
    assert status == 400
    assert "parameters.triton_x" in json.loads(answer)["error"]


# the raw request


def test_a_body_that_is_nothing_but_the_tensor(front):
    data = np.array([[1, 2, 3], [4, 5, 6]], np.float32).tobytes()
    headers = {"Inference-Header-Content-Length": "0"}
    status, headers, body = front.ask("POST", "/v2/models/labelled/infer", data, headers)
    assert status == 200
    assert headers["Content-Type"] == "application/octet-stream"
    length = int(headers["Inference-Header-Content-Length"])
    (output,) = json.loads(body[:length])["outputs"]
    assert (output["shape"], body[length:]) == ([2, 3], data)


def test_a_model_with_several_inputs_has_no_raw_request(front):
    status, _, body = front.ask("POST", "/v2/models/simple/infer", b"1234", {"Inference-Header-Content-Length": "0"})
    assert (status, "the model has 2 inputs" in json.loads(body)["error"]) == (400, True)


# the envelope


def test_names_are_unquoted_and_unknown_keys_tolerated(front):
    body = json.dumps({"inputs": [], "comment": {"any": ["thing"]}})
    status, _, answer = front.ask("POST", "/v2/models/a%2F%C3%BC/infer", body)
    assert status == 404
    assert "'a/ü'" in json.loads(answer)["error"]


def test_an_output_asked_for_twice_is_refused(call):
    def infer(client, module):
        client.infer("simple", sums(module)[0], outputs=[module.InferRequestedOutput("OUTPUT0")] * 2)

    with pytest.raises(InferenceServerException, match="outputs: duplicate name"):
        call(infer)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v2/nothing", 404), ("PUT", "/v2/models/simple/infer", 405)]
)
def test_unknown_paths_and_wrong_verbs(front, method, path, status):
    answered, _, body = front.ask(method, path)
    assert answered == status
    assert set(json.loads(body)) == {"error"}
