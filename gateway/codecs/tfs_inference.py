"""TensorFlow Serving's ``Classify``, ``Regress`` and ``MultiInference`` over gRPC, as messages in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.codecs.tfs_metadata import method_name
from gateway.codecs.tfs_model_spec import ModelQuery, decode_model_spec, encode_model_spec, parse_message
from gateway.codecs.tfs_results import Classes
from gateway.core.errors import InvalidRequest, Unsupported
from gateway.core.signatures import Task
from gateway.protos.loader import message_class

_ClassificationRequest = message_class("tensorflow.serving.ClassificationRequest")
_ClassificationResponse = message_class("tensorflow.serving.ClassificationResponse")
_RegressionRequest = message_class("tensorflow.serving.RegressionRequest")
_RegressionResponse = message_class("tensorflow.serving.RegressionResponse")
_MultiRequest = message_class("tensorflow.serving.MultiInferenceRequest")
_MultiResponse = message_class("tensorflow.serving.MultiInferenceResponse")


@dataclass(slots=True, frozen=True)
class ExampleTask:
    """One thing to do with the examples of a request; ``task`` is ``classify`` or ``regress``."""

    query: ModelQuery
    task: Task


@dataclass(slots=True, frozen=True)
class TaskResult:
    """What came of a task: ``classes`` of each example, or ``values``; ``query`` names the version that answered."""

    query: ModelQuery
    classes: Sequence[Classes] | None = None
    values: Sequence[float] = ()


def decode_classification_request(data: bytes) -> tuple[ExampleTask, Any]:
    """The task of a serialised ``ClassificationRequest``, and its ``Input`` message."""
    message = parse_message(_ClassificationRequest, data)
    return ExampleTask(decode_model_spec(message), "classify"), message.input


def decode_regression_request(data: bytes) -> tuple[ExampleTask, Any]:
    """The task of a serialised ``RegressionRequest``, and its ``Input`` message."""
    message = parse_message(_RegressionRequest, data)
    return ExampleTask(decode_model_spec(message), "regress"), message.input


def decode_multi_request(data: bytes) -> tuple[list[ExampleTask], Any]:
    """The tasks of a serialised ``MultiInferenceRequest``, and the ``Input`` message of them all.

    Raises:
        InvalidRequest: there is none, they are not all about one model, or a signature comes twice.
        Unsupported: a method is neither classification nor regression.
    """
    message = parse_message(_MultiRequest, data)
    tasks = [_decode_task(index, task) for index, task in enumerate(message.tasks)]
    if not tasks:
        raise InvalidRequest("tasks: at least one is expected")
    first = tasks[0].query
    signatures: set[str] = set()
    for index, task in enumerate(tasks):
        query = task.query
        if (query.name, query.version, query.label) != (first.name, first.version, first.label):
            raise InvalidRequest(
                f"tasks[{index}].model_spec: All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        if query.signature in signatures:
            raise InvalidRequest(f"tasks[{index}].model_spec: Duplicate evaluation of signature: {query.signature}")
        signatures.add(query.signature)
    return tasks, message.input


def encode_classification_response(result: TaskResult) -> bytes:
    """The serialised ``ClassificationResponse``."""
    message = _ClassificationResponse()
    encode_model_spec(message.model_spec, result.query)
    _fill_classes(message.result, result.classes or ())
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_regression_response(result: TaskResult) -> bytes:
    """The serialised ``RegressionResponse``."""
    message = _RegressionResponse()
    encode_model_spec(message.model_spec, result.query)
    _fill_values(message.result, result.values)
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_multi_response(results: Sequence[TaskResult]) -> bytes:
    """The serialised ``MultiInferenceResponse``, in the order of the tasks."""
    message = _MultiResponse()
    for result in results:
        entry = message.results.add()
        encode_model_spec(entry.model_spec, result.query)
        if result.classes is not None:
            _fill_classes(entry.classification_result, result.classes)
        else:
            _fill_values(entry.regression_result, result.values)
    serialised: bytes = message.SerializeToString()
    return serialised


def _decode_task(index: int, task: Any) -> ExampleTask:
    query = decode_model_spec(task, f"tasks[{index}].model_spec")
    for known in ("classify", "regress"):
        if task.method_name == method_name(known):
            return ExampleTask(query, known)
    raise Unsupported(f"tasks[{index}].method_name: Unsupported signature method_name: {task.method_name}")


def _fill_classes(message: Any, classes: Sequence[Classes]) -> None:
    for row in classes:
        entry = message.classifications.add()
        for label, score in row:
            entry.classes.add(label=label, score=score)


def _fill_values(message: Any, values: Sequence[float]) -> None:
    for value in values:
        message.regressions.add(value=value)
