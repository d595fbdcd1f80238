"""What Triton's example clients do with their models, against the same models in ONNX Runtime."""

import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
from tritonclient.utils import InferenceServerException

CLIENTS = {"http": http_client, "grpc": grpc_client}
FIRST, SECOND = np.arange(16).reshape(1, 16), np.ones((1, 16), int)


@pytest.fixture(params=CLIENTS)
def use(request, addresses, blocking):
    """Call a function with an open client and its module."""
    module = CLIENTS[request.param]

    def run(function):
        def call():
            with module.InferenceServerClient(addresses[request.param]) as client:
                return function(client, module)

        return blocking(call)

    return run


def texts(array):
    flat = [str(value).encode() for value in array.ravel()]
    return np.array(flat, dtype=object).reshape(array.shape)


def given(module, name, datatype, array):
    tensor = module.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


@pytest.mark.parametrize(
    ("model", "datatype", "convert"),
    [
        ("simple", "INT32", lambda array: array.astype(np.int32)),
        ("simple_int8", "INT8", lambda array: array.astype(np.int8)),
        ("simple_string", "BYTES", texts),
    ],
)
def test_sum_and_difference(use, model, datatype, convert):
    def infer(client, module):
        inputs = [
            given(module, "INPUT0", datatype, convert(FIRST)),
            given(module, "INPUT1", datatype, convert(SECOND)),
        ]
        result = client.infer(model, inputs)
        return [result.as_numpy(name).tolist() for name in ("OUTPUT0", "OUTPUT1")]

    assert use(infer) == [convert(FIRST + SECOND).tolist(), convert(FIRST - SECOND).tolist()]


def test_texts_come_back_as_they_went(use):
    array = np.array([["", "a\0b", "ü", "12"]], dtype=object)

    def infer(client, module):
        result = client.infer("simple_identity", [given(module, "INPUT0", "BYTES", array)])
        return [text.decode() for text in result.as_numpy("OUTPUT0")[0]]

    assert use(infer) == array[0].tolist()


def test_an_unknown_model_is_told_in_tritons_words(use):
    def infer(client, module):
        client.infer("wrong_model_name", [given(module, "INPUT0", "INT32", FIRST.astype(np.int32))])

    with pytest.raises(InferenceServerException) as caught:
        use(infer)
    assert caught.value.message().startswith("Request for unknown model")


def test_health_and_metadata(use):
    def ask(client, module):
        extra = {"as_json": True} if module is grpc_client else {}
        return (
            client.is_server_live(),
            client.is_server_ready(),
            client.is_model_ready("simple"),
            client.get_server_metadata(**extra)["name"],
            client.get_model_metadata("simple", **extra)["name"],
        )

    assert use(ask) == (True, True, True, "triton", "simple")
