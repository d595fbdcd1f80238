import json

import numpy as np
import pytest

from gateway.codecs.tfs_inference import (
    TaskResult,
    decode_multi_request,
    encode_classification_response,
    encode_multi_response,
    encode_regression_response,
)
from gateway.codecs.tfs_model_spec import ModelQuery
from gateway.codecs.tfs_rest_examples import encode_classifications, encode_regressions
from gateway.codecs.tfs_results import (
    ResultOutputs,
    classification_outputs,
    classifications,
    regression_outputs,
    regressions,
)
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, InvalidRequest, Unsupported
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor
from gateway.protos.loader import message_class

X = (TensorSpec("x", Datatype.FP32, (-1, 2)),)
SERIALISED = (TensorSpec("inputs", Datatype.BYTES, (-1,)),)
FP32, BYTES, INT64 = Datatype.FP32, Datatype.BYTES, Datatype.INT64


def signature(*outputs, inputs=X):
    return Signature(inputs, tuple(TensorSpec(name, datatype, (-1, -1)) for name, datatype in outputs))


def response(**arrays):
    return InferResponse("m", "1", tuple(Tensor.from_numpy(name, np.asarray(array)) for name, array in arrays.items()))


@pytest.mark.parametrize(
    ("outputs", "chosen"),
    [
        ([("scores", FP32), ("classes", BYTES)], ResultOutputs("scores", "classes")),
        ([("classes", BYTES)], ResultOutputs("", "classes")),
        ([("logits", FP32), ("index", INT64)], ResultOutputs("logits")),
        ([("scores", FP32), ("embedding", FP32)], ResultOutputs("scores")),
    ],
)
def test_the_outputs_of_a_classification(outputs, chosen):
    assert classification_outputs(signature(*outputs)) == chosen


@pytest.mark.parametrize("outputs", [[], [("a", INT64)], [("a", FP32), ("b", FP32)]])
def test_other_signatures_are_refused(outputs):
    with pytest.raises(InvalidRequest, match="classification"):
        classification_outputs(signature(*outputs))
    with pytest.raises(InvalidRequest, match="regression"):
        regression_outputs(signature(*outputs))


def test_outputs_that_cannot_fit_are_refused_before_the_model_runs():
    vector = Signature(X, (TensorSpec("y", FP32, (-1,)),))
    with pytest.raises(InvalidRequest, match=r"\[batch_size num_classes\]"):
        classification_outputs(vector)
    assert regression_outputs(vector) == ResultOutputs("y")
    for shape in ((-1, 10), (-1, 1, 1), ()):
        with pytest.raises(InvalidRequest, match=r"\[batch_size, 1\]"):
            regression_outputs(Signature(X, (TensorSpec("y", FP32, shape),)))
        assert regression_outputs(Signature(SERIALISED, (TensorSpec("y", FP32, shape),))) == ResultOutputs("y")


SCORES = np.array([[0.25, 0.75]], np.float32)


@pytest.mark.parametrize(
    ("inputs", "labels", "wanted"),
    [
        (X, (), ["0", "1"]),
        (X, ("cat", "dog", "more"), ["cat", "dog"]),
        (X, ("cat",), ["0", "1"]),
        (SERIALISED, (), ["", ""]),
    ],
)
def test_scores_get_the_models_labels_or_their_index(inputs, labels, wanted):
    made = signature(("y", FP32), inputs=inputs)
    found = classifications(response(y=SCORES), ResultOutputs("y"), made, labels, 1)
    assert found == [list(zip(wanted, [0.25, 0.75], strict=True))]


def test_classes_of_the_model_itself():
    classes = np.array([[b"a", b"b"]], object)
    made = signature(("scores", FP32), ("classes", BYTES))
    both = ResultOutputs("scores", "classes")
    assert classifications(response(scores=SCORES, classes=classes), both, made, (), 1) == [[("a", 0.25), ("b", 0.75)]]
    alone = ResultOutputs("", "classes")
    assert classifications(response(classes=classes), alone, made, (), 1) == [[("a", 0.0), ("b", 0.0)]]
    with pytest.raises(BackendError, match="UTF-8"):
        classifications(response(classes=np.array([[b"\xff"]], object)), alone, made, (), 1)
    with pytest.raises(InvalidRequest, match="should match"):
        classifications(response(scores=SCORES, classes=classes[:, :1]), both, made, (), 1)


@pytest.mark.parametrize("shape", [(2,), (2, 2), (1, 1, 2)])
def test_scores_must_be_examples_by_classes(shape):
    with pytest.raises(InvalidRequest, match=r"\[batch_size num_classes\]"):
        classifications(response(y=np.zeros(shape, np.float32)), ResultOutputs("y"), signature(("y", FP32)), (), 1)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_regressions_are_a_value_for_each_example(shape):
    assert regressions(response(y=np.array([1, 2], np.float32).reshape(shape)), ResultOutputs("y"), 2) == [1, 2]
    with pytest.raises(InvalidRequest, match=r"\[batch_size, 1\]"):
        regressions(response(y=np.zeros(shape, np.float32)), ResultOutputs("y"), 3)


def test_results_in_json_have_no_more_digits_than_fp32_needs():
    tenth = float(np.float32(0.1))
    assert encode_classifications([[("a", tenth), ("b", 3.0)]]) == b'{"results":[[["a",0.1],["b",3.0]]]}'
    assert encode_regressions([tenth, 3.0]) == b'{"results":[0.1,3.0]}'
    assert json.loads(encode_regressions([float("inf")])) == {"results": [float("inf")]}
    assert b"NaN" in encode_classifications([[("a", float("nan"))]])


def test_results_over_grpc():
    query = ModelQuery("m", "7", signature="s")
    classes = TaskResult(query, [[("a", 0.5)], []])
    values = TaskResult(query, values=[1.0, 2.0])
    answer = message_class("tensorflow.serving.ClassificationResponse").FromString(
        encode_classification_response(classes)
    )
    assert [[one.label for one in row.classes] for row in answer.result.classifications] == [["a"], []]
    assert (answer.model_spec.version.value, answer.model_spec.signature_name) == (7, "s")
    answer = message_class("tensorflow.serving.RegressionResponse").FromString(encode_regression_response(values))
    assert [one.value for one in answer.result.regressions] == [1, 2]
    answer = message_class("tensorflow.serving.MultiInferenceResponse").FromString(
        encode_multi_response([values, classes])
    )
    assert [one.WhichOneof("result") for one in answer.results] == ["regression_result", "classification_result"]


@pytest.mark.parametrize(
    ("tasks", "kind", "problem"),
    [
        ([], InvalidRequest, "at least one"),
        ([("a", "s", "classify"), ("b", "t", "classify")], InvalidRequest, r"tasks\[1\].*same model"),
        ([("a", "s", "classify"), ("a", "s", "regress")], InvalidRequest, r"tasks\[1\].*Duplicate evaluation"),
        ([("a", "s", "predict")], Unsupported, r"tasks\[0\]\.method_name"),
        ([("", "s", "classify")], InvalidRequest, r"tasks\[0\]\.model_spec"),
    ],
)
def test_tasks_that_cannot_run_together(tasks, kind, problem):
    message = message_class("tensorflow.serving.MultiInferenceRequest")()
    for model, name, method in tasks:
        task = message.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = model, name
    with pytest.raises(kind, match=problem):
        decode_multi_request(message.SerializeToString())
