"""The examples of TensorFlow Serving's ``Classify`` and ``Regress`` → the inputs of a model.

A model trained for these calls takes ``tf.Example`` messages, serialised, in one BYTES input: it gets them so, each
with the common context before it, whose features its own replace. Any other model takes tensors: each feature then goes
to the input of its name, and each example becomes one row of the batch. The lists of an example have the types that
``tf.io.parse_example`` wants, and nothing is cast: ``float_list`` for FP16, FP32 and FP64, ``int64_list`` for integers
and BOOL (0 and 1), ``bytes_list`` for BYTES; BF16 has no such form. A model with declared preprocessing also takes one
picture or text an example, under any other name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, element_count, join_bytes

# The features of an example by name, then those of the common context.
_Row = tuple[Mapping[str, Any], ...]
# What signatures made for these calls call their input, whatever method their SavedModel claims.
_INPUTS = "inputs"
_FLOATS = (Datatype.FP16, Datatype.FP32, Datatype.FP64)


def takes_examples(signature: Signature) -> bool:
    """Whether a model of ``signature`` parses serialised examples itself."""
    if len(signature.inputs) != 1:
        return False
    (spec,) = signature.inputs
    is_list_of_bytes = spec.datatype is Datatype.BYTES and len(spec.shape) == 1
    return is_list_of_bytes and (signature.task != "predict" or spec.name == _INPUTS)


def decode_input(message: Any, signature: Signature, limits: Limits, *, prepares: bool = False) -> tuple[Tensor, ...]:
    """The inputs for ``signature`` from the ``Input`` message of a request.

    ``prepares``: the model takes pictures or texts too.

    Raises:
        InvalidRequest: there are no examples, or a feature does not fit; names the example and the feature.
        PayloadTooLarge: they make tensors over one of ``limits``.
        Unsupported: the model cannot be fed with examples.
    """
    kind = message.WhichOneof("kind")
    if kind is None or not (listed := getattr(message, kind)).examples:
        raise InvalidRequest("input: Input is empty.")
    context = listed.context if kind == "example_list_with_context" else None
    if takes_examples(signature):
        return (_serialised(signature.inputs[0].name, context, listed.examples, limits),)
    if not signature.inputs or any(spec.shape[:1] != (-1,) for spec in signature.inputs):
        raise Unsupported("the model takes no batch of rows, so that examples cannot be made into its inputs; predict")
    common = () if context is None else (context.features.feature,)
    rows = [(example.features.feature, *common) for example in listed.examples]
    if prepares and (name := _raw_name(rows[0], signature)):
        return (_column(TensorSpec(name, Datatype.BYTES, (-1,)), rows, limits),)
    return tuple([_column(spec, rows, limits) for spec in signature.inputs])


def _serialised(name: str, context: Any, examples: Sequence[Any], limits: Limits) -> Tensor:
    # Serialised messages that follow each other are one message in which the later one's fields win.
    before = context.SerializeToString() if context is not None else b""
    if len(before) * len(examples) > limits.body_bytes:
        raise PayloadTooLarge(f"input: the repeated context is over the limit of {limits.body_bytes} bytes")
    elements = [before + example.SerializeToString() for example in examples]
    return Tensor(name, Datatype.BYTES, (len(elements),), join_bytes(elements))


def _raw_name(row: _Row, signature: Signature) -> str:
    """The name of the only feature, when it holds bytes and is no input of the model; else empty."""
    names = {name for features in row for name in features}
    if len(names) != 1 or names & {spec.name for spec in signature.inputs}:
        return ""
    (name,) = names
    return name if _feature(row, name).WhichOneof("kind") == "bytes_list" else ""


def _feature(row: _Row, name: str) -> Any:
    """The feature called ``name``; None when there is none."""
    return next((features[name] for features in row if name in features), None)


def _column(spec: TensorSpec, rows: Sequence[_Row], limits: Limits) -> Tensor:
    lists = [_values(spec, row, f"examples[{index}][{spec.name!r}]") for index, row in enumerate(rows)]
    shape = _row_shape(spec, len(lists[0]))
    size = element_count(shape)
    for index, values in enumerate(lists):
        if len(values) != size:
            raise InvalidRequest(
                f"examples[{index}][{spec.name!r}]: {size} values are expected for a row of shape {list(shape)}, "
                f"got {len(values)}"
            )
    # The common context may stand for any number of rows.
    if size * len(lists) * (spec.datatype.itemsize or 4) > limits.body_bytes or size * len(lists) > limits.elements:
        raise PayloadTooLarge(f"examples: {spec.name!r} grows past the limits on a request")
    encode = _join if spec.datatype is Datatype.BYTES else _pack
    return Tensor(spec.name, spec.datatype, (len(lists), *shape), encode(spec, lists, size, limits))


def _values(spec: TensorSpec, row: _Row, field: str) -> Any:
    wanted = _kind(spec)
    feature = _feature(row, spec.name)
    if feature is None:
        raise InvalidRequest(f"{field}: the feature is missing")
    kind = feature.WhichOneof("kind")
    if kind != wanted:
        raise InvalidRequest(f"{field}: {spec.datatype} takes a {wanted}, got {kind or 'nothing'}")
    return getattr(feature, wanted).value


def _kind(spec: TensorSpec) -> str:
    if spec.datatype is Datatype.BF16:
        raise Unsupported(f"inputs[{spec.name!r}]: BF16 has no form in tf.Example; predict")
    if spec.datatype is Datatype.BYTES:
        return "bytes_list"
    return "float_list" if spec.datatype in _FLOATS else "int64_list"


def _row_shape(spec: TensorSpec, length: int) -> tuple[int, ...]:
    """The shape of one row; the length of the first list settles one free dimension."""
    shape = spec.shape[1:]
    free = [position for position, size in enumerate(shape) if size == -1]
    if len(free) > 1:
        raise Unsupported(f"inputs[{spec.name!r}]: a list does not tell the sizes of {list(shape)}; predict")
    if not free:
        return shape
    rest = element_count([size for size in shape if size != -1])
    if not rest or length % rest:
        raise InvalidRequest(f"examples[0][{spec.name!r}]: {length} values do not fit a row of shape {list(shape)}")
    (position,) = free
    return (*shape[:position], length // rest, *shape[position + 1 :])


def _join(spec: TensorSpec, lists: Sequence[Sequence[bytes]], _: int, limits: Limits) -> bytes:
    if sum(len(value) + 4 for values in lists for value in values) > limits.body_bytes:
        raise PayloadTooLarge(f"examples: {spec.name!r} grows past the limits on a request")
    return join_bytes(value for values in lists for value in values)


def _pack(spec: TensorSpec, lists: Sequence[Sequence[float]], size: int, _: Limits) -> bytes:
    of_floats = spec.datatype in _FLOATS
    # A float_list holds FP32.
    array = np.empty((len(lists), size), "<f4" if of_floats else NUMPY_DTYPE[spec.datatype])
    try:
        for index, values in enumerate(lists):
            if spec.datatype is Datatype.BOOL and not {0, 1}.issuperset(values):
                raise InvalidRequest(f"examples[{index}][{spec.name!r}]: BOOL takes 0 and 1")
            array[index] = values
        with np.errstate(over="raise"):
            return array.astype(NUMPY_DTYPE[spec.datatype], copy=False).tobytes()
    except (OverflowError, FloatingPointError):
        raise InvalidRequest(f"examples: {spec.name!r}: a value is out of range for {spec.datatype}") from None
