"""The real servers behind the gateway, asked as users ask them."""

import json

import grpc
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from support.stack import gateway

pytestmark = pytest.mark.integration

BACKENDS = ("torchserve", "tensorflow", "onnxruntime")
CAT = 285


@pytest.fixture(scope="module")
def samples(model_store_root):
    return model_store_root / "efficientnet-lite0" / "1" / "samples"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_the_cat_is_an_egyptian_cat_on_every_backend(stack, samples, protocol):
    done = gateway(
        "infer", "efficientnet-lite0", "--image", str(samples / "chelsea.png"), "--backend", "all",
        "--protocol", protocol, "--output", "json", "--config", stack.config,
    )  # fmt: skip
    document = json.loads(done.stdout)
    assert [answer["backend"] for answer in document["answers"]] == list(BACKENDS)
    for answer in document["answers"]:
        assert answer["top"][0]["index"] == CAT
        assert answer["top"][0]["probability"] == pytest.approx(0.79, abs=0.01)
        assert answer["timing_ms"]["backend"] > 0
    assert document["max_abs_difference"] < 1e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_unmodified_tritonclient_works_over_both_protocols(stack, samples, backend):
    state = stack.state["gateway"]
    batch = np.concatenate([np.load(samples / name) for name in ("chelsea.npy", "coffee.npy", "rocket.npy")])
    answers = []
    for client_module, address in ((tritonclient.http, state["http"]), (tritonclient.grpc, state["grpc"])):
        client = client_module.InferenceServerClient(address)
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("efficientnet-lite0", "1")
        given = client_module.InferInput("input", batch.shape, "FP32")
        given.set_data_from_numpy(batch)
        wanted = [client_module.InferRequestedOutput("logits")]
        answer = client.infer(
            "efficientnet-lite0", [given], outputs=wanted, request_id="q", headers={"x-gateway-backend": backend}
        )
        answers.append(answer.as_numpy("logits"))
        assert "efficientnet-lite0" in str(client.get_model_metadata("efficientnet-lite0"))
        assert "max_batch_size" in str(client.get_model_config("efficientnet-lite0"))
        assert "inference_count" in str(client.get_inference_statistics("efficientnet-lite0"))
        client.close()
    assert answers[0].shape == (3, 1000)
    assert answers[0].argmax(axis=1)[0] == CAT
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-4)


def test_status_tells_the_real_servers(stack):
    backends = stack.state["backends"]
    assert backends["torchserve"]["server"].startswith("TorchServe 0.12")
    assert "TensorFlow" in backends["tensorflow"]["server"]
    assert "ONNX Runtime" in backends["onnxruntime"]["server"]
    assert all(backend["state"] == "ready" for backend in backends.values())


def test_the_digits_are_read_alike_and_nearly_all_right_by_every_backend(stack, model_store_root):
    samples = sorted((model_store_root / "digits-mlp" / "1" / "samples").glob("*.npy"))
    client = tritonclient.http.InferenceServerClient(stack.state["gateway"]["http"])
    batch = np.concatenate([np.load(path) for path in samples])
    read = {}
    for backend in BACKENDS:
        given = tritonclient.http.InferInput("input", batch.shape, "FP32")
        given.set_data_from_numpy(batch)
        answer = client.infer("digits-mlp", [given], headers={"x-gateway-backend": backend}).as_numpy("logits")
        read[backend] = answer.argmax(axis=1).tolist()
    client.close()
    assert read["torchserve"] == read["tensorflow"] == read["onnxruntime"]
    # The samples are held out from the training, and a net of this size reads some digit wrong.
    assert sum(digit == index for index, digit in enumerate(read["onnxruntime"])) >= 8


def test_models_lists_every_backend_as_ready(stack):
    listed = json.loads(gateway("models", "--json", "--config", stack.config).stdout)
    assert set(listed) == {"digits-forest", "digits-keras", "digits-mlp", "efficientnet-lite0", "minilm"}
    for backends in listed.values():
        assert {name: state["ready"] for name, state in backends.items()} == dict.fromkeys(BACKENDS, True)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["infer", "nope", "--image", "x.png"], "'nope' is not in the store"),
        (["infer", "digits-mlp", "--image", __file__], "is not a picture"),
        (["infer", "digits-mlp", "--npy", __file__], "no .npy or .npz file"),
        (["infer", "digits-mlp", "--npy", "/missing.npy"], "/missing.npy: No such file"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_1(stack, arguments, problem):
    done = gateway(*arguments, "--config", stack.config, check=False)
    assert done.returncode == 1
    assert problem in done.stderr
    assert "Traceback" not in done.stderr


def test_the_tensorflow_backend_speaks_tensorflow_servings_grpc(stack):
    from gateway.codecs.tfs_metadata import decode_metadata_response, encode_metadata_request
    from gateway.codecs.tfs_model_spec import ModelQuery
    from gateway.core.signatures import TensorSpec

    request = encode_metadata_request(ModelQuery("digits-mlp"))
    with grpc.insecure_channel(stack.state["backends"]["tensorflow"]["grpc"]) as channel:
        method = channel.unary_unary("/tensorflow.serving.PredictionService/GetModelMetadata")
        signatures = decode_metadata_response(method(request, timeout=10))
    assert signatures["serving_default"].inputs == (TensorSpec("input", "FP32", (-1, 784)),)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sentence_is_encoded_alike_by_every_backend(stack, model_store_root, backend, protocol):
    done = gateway(
        "infer", "minilm", "--text", "The weather is lovely today.", "--backend", backend,
        "--protocol", protocol, "--output", "json", "--config", stack.config,
    )  # fmt: skip
    (answer,) = json.loads(done.stdout)["answers"]
    expected = np.load(model_store_root / "minilm" / "1" / "reference" / "sample-weather.npz")["embedding"]
    np.testing.assert_allclose(answer["outputs"]["embedding"]["data"], expected[0], atol=1e-5)
