"""The outputs of a model → what TensorFlow Serving's ``Classify`` and ``Regress`` answer.

A model made for these calls names its outputs: ``classes`` (BYTES) and ``scores``, or ``outputs``. Of any other model
the only floating-point output counts: for ``Classify`` its rows are the scores, labelled with the model's class names,
or with the index of the class where the model has none; for ``Regress`` it must hold one value for each example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.codecs.tfs_examples import takes_examples
from gateway.core.datatypes import Datatype
from gateway.core.errors import BackendError, InvalidRequest
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, split_bytes

_CLASSES, _SCORES, _OUTPUTS = "classes", "scores", "outputs"
_FLOATS = (Datatype.FP16, Datatype.FP32, Datatype.FP64)

# (label, score) pairs of one example.
Classes = list[tuple[str, float]]


@dataclass(slots=True, frozen=True)
class ResultOutputs:
    """The outputs of a model that make a result: ``values``, and ``classes``; either may be empty, not both."""

    values: str
    classes: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Those to ask for."""
        return tuple(name for name in (self.classes, self.values) if name)


def classification_outputs(signature: Signature) -> ResultOutputs:
    """The outputs that ``Classify`` reads.

    Raises:
        InvalidRequest: the signature is not one for classification.
    """
    named = {spec.name: spec.datatype for spec in signature.outputs}
    classes = _CLASSES if named.get(_CLASSES) is Datatype.BYTES else ""
    if classes and _SCORES not in named:
        return ResultOutputs("", classes)
    scores = _floating(signature, _SCORES, "classification")
    if len(scores.shape) != 2 and not takes_examples(signature):
        raise _no_matrix(scores.name, scores.shape)
    return ResultOutputs(scores.name, classes)


def regression_outputs(signature: Signature) -> ResultOutputs:
    """The outputs that ``Regress`` reads.

    Raises:
        InvalidRequest: the signature is not one for regression.
    """
    values = _floating(signature, _OUTPUTS, "regression")
    # What a signature for examples declares is not always what its graph gives.
    if not takes_examples(signature) and not (len(values.shape) == 1 or values.shape[1:] in ((1,), (-1,))):
        raise _no_column(values.name, values.shape)
    return ResultOutputs(values.name)


def classifications(
    response: InferResponse, outputs: ResultOutputs, signature: Signature, labels: Sequence[str], examples: int
) -> list[Classes]:
    """The classes of each of ``examples``, in the model's order; ``labels`` are its class names by index.

    Raises:
        InvalidRequest: the outputs are not [examples, classes].
        BackendError: labels that are no text.
    """
    tensors = {tensor.name: tensor for tensor in response.outputs}
    if not outputs.classes:
        scores = _scores(tensors[outputs.values], examples)
        return [list(zip(_labels(len(row), labels, signature), row, strict=True)) for row in scores]
    names = _texts(tensors[outputs.classes], examples)
    scores = _scores(tensors[outputs.values], examples) if outputs.values else [[0.0] * len(row) for row in names]
    if len(scores[0]) != len(names[0]):
        widths = f"Got {len(names[0])} vs. {len(scores[0])}"
        raise InvalidRequest(f"outputs: Tensors class and score should match in dim_size(1). {widths}")
    return [list(zip(texts, row, strict=True)) for texts, row in zip(names, scores, strict=True)]


def regressions(response: InferResponse, outputs: ResultOutputs, examples: int) -> list[float]:
    """The value of each of ``examples``.

    Raises:
        InvalidRequest: the output is not one value for each example.
    """
    tensor = next(tensor for tensor in response.outputs if tensor.name == outputs.values)
    if tensor.shape not in ((examples,), (examples, 1)):
        raise _no_column(tensor.name, tensor.shape)
    values: list[float] = tensor.to_numpy().ravel().astype("<f4").tolist()
    return values


def _floating(signature: Signature, usual: str, what: str) -> TensorSpec:
    floating = [spec for spec in signature.outputs if spec.datatype in _FLOATS]
    named = next((spec for spec in floating if spec.name == usual), None)
    if named is not None:
        return named
    if len(floating) != 1:
        raise InvalidRequest(
            f"signature_name: Expected {what} signature outputs to contain {usual!r} or one floating-point output; "
            f"the model gives {_described(signature.outputs)}"
        )
    return floating[0]


def _described(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name!r} ({spec.datatype})" for spec in specs) or "none that are known"


def _scores(tensor: Tensor, examples: int) -> list[list[float]]:
    _check_matrix(tensor, examples)
    rows: list[list[float]] = tensor.to_numpy().astype("<f4").tolist()
    return rows


def _texts(tensor: Tensor, examples: int) -> list[list[str]]:
    _check_matrix(tensor, examples)
    try:
        texts = [element.decode() for element in split_bytes(tensor.data, tensor.name)]
    except UnicodeDecodeError:
        raise BackendError(f"outputs[{tensor.name!r}]: a label is not valid UTF-8") from None
    width = tensor.shape[1]
    return [texts[row * width : (row + 1) * width] for row in range(examples)]


def _check_matrix(tensor: Tensor, examples: int) -> None:
    if len(tensor.shape) != 2 or tensor.shape[0] != examples:
        raise _no_matrix(tensor.name, tensor.shape)


def _no_matrix(name: str, shape: Sequence[int]) -> InvalidRequest:
    return InvalidRequest(f"outputs[{name!r}]: Expected Tensor shape: [batch_size num_classes] but got {list(shape)}")


def _no_column(name: str, shape: Sequence[int]) -> InvalidRequest:
    return InvalidRequest(
        f"outputs[{name!r}]: Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
        f"but got {list(shape)}"
    )


def _labels(count: int, labels: Sequence[str], signature: Signature) -> list[str]:
    if len(labels) >= count:
        return list(labels[:count])
    if takes_examples(signature):
        return [""] * count  # as TensorFlow Serving answers for a signature that gives scores only
    return [str(index) for index in range(count)]
