"""TensorFlow Serving's gRPC stubs as its examples use them: ``tfserving_client.py HTTP GRPC``."""

import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

TIMEOUT = 10  # seconds
MODEL = "half_plus_two"


def predict(stub):
    """In both forms of a tensor, and the answer read in both."""
    packed = tf.make_tensor_proto(np.array([1, 2, 5], np.float32))
    typed = tf.make_tensor_proto(np.zeros(3, np.float32))
    typed.ClearField("tensor_content")
    typed.float_val[:] = [1, 2, 5]
    for given in (packed, typed):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = MODEL
        request.inputs["x"].CopyFrom(given)
        output = stub.Predict(request, TIMEOUT).outputs["y"]
        assert list(output.float_val) == [2.5, 3.0, 4.5], output  # where the examples look
        assert tf.make_ndarray(output).tolist() == [2.5, 3.0, 4.5], output


def predict_strings(stub):
    """Text there and back."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "simple_identity"
    request.inputs["INPUT0"].CopyFrom(tf.make_tensor_proto([["a", "ü"]]))
    output = tf.make_ndarray(stub.Predict(request, TIMEOUT).outputs["OUTPUT0"])
    assert output.tolist() == [[b"a", "ü".encode()]], output


def regress(stub):
    """Examples, in a request of their own and in one for several tasks."""
    examples = []
    for value in (1.0, 2.0):
        example = tf.train.Example()
        example.features.feature["x"].float_list.value.append(value)
        examples.append(example)
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = MODEL
    request.input.example_list.examples.extend(examples)
    result = stub.Regress(request, TIMEOUT).result
    assert [one.value for one in result.regressions] == [2.5, 3.0], result
    several = inference_pb2.MultiInferenceRequest()
    task = several.tasks.add(method_name="tensorflow/serving/regress")
    task.model_spec.name = MODEL
    several.input.example_list.examples.extend(examples)
    (result,) = stub.MultiInference(several, TIMEOUT).results
    assert [one.value for one in result.regression_result.regressions] == [2.5, 3.0], result


def metadata(stub):
    """The signature."""
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = MODEL
    signatures = get_model_metadata_pb2.SignatureDefMap()
    stub.GetModelMetadata(request, TIMEOUT).metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["serving_default"].inputs["x"].dtype == 1, signatures


def status(channel):
    """The one version is available."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = MODEL
    (version,) = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, TIMEOUT).model_version_status
    assert (version.version, version.state) == (1, 30), version


def unknown(stub):
    """An unknown model is not found."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "unknown"
    refusal = stub.Predict.future(request, TIMEOUT)
    error = refusal.exception()
    assert error.code() is grpc.StatusCode.NOT_FOUND, error
    assert error.details().startswith("Servable not found for request"), error


with grpc.insecure_channel(sys.argv[2]) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    for call in (predict, predict_strings, regress, metadata, unknown):
        call(stub)
    status(channel)
