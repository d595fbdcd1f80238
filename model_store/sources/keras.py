"""Keras 3.

Frozen forms: ``savedmodel/`` for everything that starts from TensorFlow, and ``model.keras`` for Keras on PyTorch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.definitions.base import Array
from model_store.errors import BuildFailed
from model_store.exporters.forms import KERAS, SAVED_MODEL
from model_store.sources.base import (
    Tensors,
    distinct_names,
    first_line,
    fit_samples,
    infer_signature,
    made_up_sample,
    name_inputs,
    sample_needed,
)


class KerasSource:
    """A Keras model in inference mode, on whichever backend Keras runs.

    Args:
        model: a ``keras.Model``.
        samples: inputs by name; ``""`` names the only input.
        outputs: names of the outputs; the model's own by default.
        inputs: names of the inputs, in its order; the model's own by default. Keras makes up others for a model that
            is read from a file.

    Raises:
        BuildFailed: the samples do not fit it.
    """

    framework = "keras"
    labels: Sequence[str] = ()
    scores: str | None = None

    def __init__(
        self, model: Any, samples: Sequence[Tensors], outputs: Sequence[str] = (), inputs: Sequence[str] = ()
    ) -> None:
        self._model = model
        self.description = f"Keras {type(model).__name__}"
        declared = _declared_inputs(model)
        samples = samples or ([made_up_sample(declared)] if declared else sample_needed(self.description))
        self._keys = [spec.name for spec in declared] or _sample_names(samples[0])
        self._inputs = [*inputs] or self._keys
        declared = [replace(spec, name=name) for spec, name in zip(declared, self._inputs, strict=False)]
        self._structure = _input_structure(model, self._inputs)
        named = name_inputs(samples, self._inputs)
        self.samples: Sequence[Tensors] = (
            fit_samples(named, declared) if declared else [_single_precision(sample) for sample in named]
        )
        answer = self._apply(self._tensors(self.samples[0]))
        self._outputs = distinct_names(list(outputs) or _output_names(model, answer), self._inputs)
        inferred = infer_signature(self._inputs, self.samples, self.run, self._outputs)
        # What the model declares free is free, even where all samples have one size.
        free = any(-1 in spec.shape[1:] for spec in declared)
        outputs_specs = _declared_outputs(model, inferred.outputs) if free else inferred.outputs
        self.signature = Signature(tuple(declared) or inferred.inputs, outputs_specs)

    def call(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """The backend's tensors by input name to its tensors by output name."""
        return dict(zip(self._outputs, _flat(self._apply(tensors)), strict=True))

    def run(self, inputs: Mapping[str, Array]) -> Tensors:
        """All outputs by name."""
        return {name: keras.ops.convert_to_numpy(tensor) for name, tensor in self.call(self._tensors(inputs)).items()}

    def freeze(self, folder: Path) -> dict[str, str]:
        """Save for TensorFlow, and as ``.keras`` where that works: a model without a config is served all the same."""
        from model_store.sources.savedmodel import save_function, tf_specs

        save_function(self.call, tf_specs(self.signature.inputs), self._kept(), folder / SAVED_MODEL)
        try:
            self._model.save(folder / KERAS)
        except Exception as error:
            return {KERAS: f"the model cannot be saved as .keras: {first_line(error)}"}
        return {}

    def _kept(self) -> list[Any]:
        """What TensorFlow must save: its own variables, and the tables of lookups.

        Reached through Keras' layers each would be saved twice, and TensorFlow Serving would leave the one that the
        graph reads empty.
        """
        from tensorflow.python.trackable.resource import CapturableResource

        layers = self._model._flatten_layers()
        tables = [part for layer in layers for part in vars(layer).values() if isinstance(part, CapturableResource)]
        return [*(variable.value for variable in self._model.variables), *tables]

    def _apply(self, tensors: Mapping[str, Any]) -> Any:
        ordered = [tensors[name] for name in self._inputs]
        given = {"dict": dict(zip(self._keys, ordered, strict=True)), "list": ordered}.get(self._structure, ordered[0])
        try:
            return self._model(given, training=False)
        except Exception as error:
            shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
            raise BuildFailed(f"{self.description} does not take the inputs {shapes}: {first_line(error)}") from error

    def _tensors(self, inputs: Mapping[str, Array]) -> dict[str, Any]:
        return {name: keras.ops.convert_to_tensor(inputs[name]) for name in self._inputs}


def load_keras(path: Path, *, trust: bool) -> Any:
    """The model in a ``.keras`` or ``.h5`` file.

    Raises:
        BuildFailed: it is none, needs classes that are not imported, or holds code and is not trusted.
    """
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except Exception as error:
        reason = " ".join(str(error).split())
        if not trust and ("safe_mode" in reason or "unsafe" in reason.lower()):
            raise BuildFailed(
                f"{path} holds Python code that loading would run (a Lambda layer): give --trust if you trust it"
            ) from error
        raise BuildFailed(f"{path} is no model that Keras loads: {reason[:300]}") from error


def _declared_inputs(model: Any) -> list[TensorSpec]:
    """Inputs that the model declares; none for a subclassed model, or one that was never built."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):  # its keys are the names, whatever the tensors are called
        named = [*structure.items()]
    else:
        named = [(_input_name(tensor.name), tensor) for tensor in getattr(model, "inputs", None) or []]
    return [TensorSpec(name, _datatype(tensor.dtype), _shape(tensor.shape)) for name, tensor in named]


def _declared_outputs(model: Any, inferred: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    structure = getattr(model, "_outputs_struct", None)
    tensors = [*structure.values()] if isinstance(structure, dict) else getattr(model, "outputs", None) or []
    if len(tensors) != len(inferred):
        return tuple(inferred)
    return tuple(
        TensorSpec(spec.name, spec.datatype, _shape(tensor.shape))
        for spec, tensor in zip(inferred, tensors, strict=True)
    )


def _input_structure(model: Any, names: Sequence[str]) -> str:
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return "dict"
    if isinstance(structure, list | tuple):
        return "list"
    return "tensor" if len(names) == 1 else "dict"


def _output_names(model: Any, result: Any) -> list[str]:
    if isinstance(result, Mapping):
        return [*result]
    count = len(_flat(result))
    declared = getattr(model, "output_names", None)
    if declared and len(declared) == count:
        return [*declared]
    layers = getattr(model, "layers", None)
    if count == 1:
        return [layers[-1].name if layers and hasattr(model, "output_shape") else "output"]
    return [f"output_{index}" for index in range(count)]


def _flat(result: Any) -> list[Any]:
    if isinstance(result, Mapping):
        return [*result.values()]
    return [*result] if isinstance(result, list | tuple) else [result]


def _sample_names(sample: Tensors) -> list[str]:
    return ["input"] if [*sample] == [""] else [*sample]


def _input_name(name: str) -> str:
    return name.partition(":")[0]


def _shape(shape: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(-1 if size is None else size for size in shape)


def _datatype(dtype: str) -> Datatype:
    names = {
        "string": "BYTES",
        "bool": "BOOL",
        "float16": "FP16",
        "bfloat16": "BF16",
        "float32": "FP32",
        "float64": "FP64",
    }
    return Datatype(names.get(dtype, dtype.upper()))


def _single_precision(sample: Tensors) -> Tensors:
    return {name: array.astype("f4") if array.dtype.kind == "f" else array for name, array in sample.items()}
