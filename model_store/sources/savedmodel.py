"""A TensorFlow SavedModel.

Frozen form: ``savedmodel/``, with the signature ``serving_default`` under the model's own names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.definitions.base import Array
from model_store.engines.tensorflow import SIGNATURE
from model_store.errors import BuildFailed
from model_store.exporters.forms import SAVED_MODEL
from model_store.sources.base import Tensors, distinct_names, first_line, fit_samples, made_up_sample, name_inputs

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before the import: its start-up notes are not errors

import tensorflow as tf

_DATATYPES = {
    tf.bool: Datatype.BOOL, tf.uint8: Datatype.UINT8, tf.uint16: Datatype.UINT16, tf.uint32: Datatype.UINT32,
    tf.uint64: Datatype.UINT64, tf.int8: Datatype.INT8, tf.int16: Datatype.INT16, tf.int32: Datatype.INT32,
    tf.int64: Datatype.INT64, tf.float16: Datatype.FP16, tf.bfloat16: Datatype.BF16, tf.float32: Datatype.FP32,
    tf.float64: Datatype.FP64, tf.string: Datatype.BYTES,
}  # fmt: skip


class SavedModelSource:
    """One signature of a SavedModel: ``serving_default``, or the only one there is.

    Raises:
        BuildFailed: it cannot be loaded, has several signatures and none is the default, or the samples do not fit.
    """

    framework = "tensorflow"
    labels: Sequence[str] = ()
    scores: str | None = None

    def __init__(self, directory: Path, samples: Sequence[Tensors]) -> None:
        self.description = f"SavedModel {directory.name}"
        try:
            self._loaded = tf.saved_model.load(str(directory))
        except Exception as error:
            raise BuildFailed(f"{directory} is no SavedModel that TensorFlow loads: {first_line(error)}") from error
        self._function = _signature(self._loaded, directory)
        inputs = self._function.structured_input_signature[1]
        names = [*inputs]
        outputs = self._function.structured_outputs
        distinct = distinct_names([*outputs], names)
        self._outputs = dict(zip(distinct, outputs, strict=True))  # our name → the signature's
        self.signature = Signature(
            tensor_specs(inputs), tensor_specs({new: outputs[name] for new, name in self._outputs.items()})
        )
        given = samples or [made_up_sample(self.signature.inputs)]
        self.samples: Sequence[Tensors] = fit_samples(name_inputs(given, names), self.signature.inputs)

    def run(self, inputs: Mapping[str, Array]) -> Tensors:
        """All outputs by name."""
        try:
            results = self._function(**{name: tf.constant(array) for name, array in inputs.items()})
        except Exception as error:
            shapes = {name: list(array.shape) for name, array in inputs.items()}
            raise BuildFailed(f"{self.description} does not take the inputs {shapes}: {first_line(error)}") from error
        return {new: results[name].numpy() for new, name in self._outputs.items()}

    def freeze(self, folder: Path) -> dict[str, str]:
        """Save the signature again, alone and under its one well-known key."""
        specs = {spec.name: _tf_spec(self._function, spec.name) for spec in self.signature.inputs}

        def call(tensors: dict[str, Any]) -> dict[str, Any]:
            results = self._function(**tensors)
            return {new: results[name] for new, name in self._outputs.items()}

        save_function(call, specs, self._loaded, folder / SAVED_MODEL)
        return {}


def save_function(
    call: Callable[[dict[str, Any]], dict[str, Any]], specs: Mapping[str, Any], keep: Any, directory: Path
) -> None:
    """Save ``call`` as a SavedModel with the signature ``serving_default``.

    Args:
        call: from tensors by input name to tensors by output name.
        specs: ``tf.TensorSpec`` by input name.
        keep: whatever holds the variables that ``call`` uses; None when it uses none.
        directory: to be made.
    """

    @tf.function(input_signature=[*specs.values()])  # type: ignore[untyped-decorator]
    def serve(*tensors: Any) -> dict[str, Any]:
        results = call(dict(zip(specs, tensors, strict=True)))
        return {name: tf.identity(tensor, name=_scope_name(name)) for name, tensor in results.items()}

    module = tf.Module()
    module.kept = keep
    concrete = serve.get_concrete_function()
    # Gradients are for training, and those of a function without variables cannot be saved.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(directory), signatures={SIGNATURE: concrete}, options=options)


def tensor_specs(specs: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    """``tf.TensorSpec`` or tensors by name, in the gateway's terms.

    Raises:
        BuildFailed: one has no known number of dimensions, or a type that no protocol carries.
    """
    found = []
    for name, spec in specs.items():
        if spec.shape.rank is None:
            raise BuildFailed(f"{name!r} has no known number of dimensions: save the model with an input signature")
        if spec.dtype not in _DATATYPES:
            raise BuildFailed(f"{name!r} is {spec.dtype.name}, which no protocol carries")
        shape = tuple(-1 if size is None else int(size) for size in spec.shape)
        found.append(TensorSpec(name, _DATATYPES[spec.dtype], shape))
    return tuple(found)


def tf_specs(specs: Sequence[TensorSpec]) -> dict[str, Any]:
    """``tf.TensorSpec`` by name."""
    return {
        spec.name: tf.TensorSpec([None if n == -1 else n for n in spec.shape], tf_dtype(spec.datatype), name=spec.name)
        for spec in specs
    }


def tf_dtype(datatype: Datatype) -> Any:
    """TensorFlow's type for ``datatype``."""
    return next(dtype for dtype, known in _DATATYPES.items() if known is datatype)


def _signature(loaded: Any, directory: Path) -> Any:
    signatures = {name: function for name, function in loaded.signatures.items() if not name.startswith("__")}
    if SIGNATURE in signatures:
        return signatures[SIGNATURE]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    raise BuildFailed(f"{directory} has the signatures {[*signatures]}; one of them must be {SIGNATURE!r}")


def _tf_spec(function: Any, name: str) -> Any:
    # The signature's key is the name that clients use; the tensor behind it may be called otherwise.
    spec = function.structured_input_signature[1][name]
    return tf.TensorSpec(spec.shape, spec.dtype, name=name)


def _scope_name(name: str) -> str:
    # TensorFlow's node names are narrower than a signature's keys.
    return "".join(letter if letter.isalnum() else "_" for letter in name).strip("_") or "output"
