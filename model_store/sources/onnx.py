"""An ONNX file.

Frozen form: ``model.onnx``, checked, in one file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.definitions.base import Array
from model_store.errors import BuildFailed
from model_store.exporters.forms import ONNX
from model_store.sources.base import (
    Tensors,
    distinct_names,
    first_line,
    fit_samples,
    made_up_sample,
    name_inputs,
    plain_names,
)

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at the import

import onnxruntime

MAX_BYTES = 2**31 - 1  # protobuf's limit for one file

_DATATYPES = {
    "tensor(bool)": Datatype.BOOL, "tensor(uint8)": Datatype.UINT8, "tensor(uint16)": Datatype.UINT16,
    "tensor(uint32)": Datatype.UINT32, "tensor(uint64)": Datatype.UINT64, "tensor(int8)": Datatype.INT8,
    "tensor(int16)": Datatype.INT16, "tensor(int32)": Datatype.INT32, "tensor(int64)": Datatype.INT64,
    "tensor(float16)": Datatype.FP16, "tensor(bfloat16)": Datatype.BF16, "tensor(float)": Datatype.FP32,
    "tensor(double)": Datatype.FP64, "tensor(string)": Datatype.BYTES,
}  # fmt: skip


class OnnxSource:
    """The graph as it stands, run by ONNX Runtime with every optimisation off: what the file says, nothing else.

    Raises:
        BuildFailed: the file is no valid model, or the samples do not fit it.
    """

    framework = "onnx"
    labels: Sequence[str] = ()
    scores: str | None = None

    def __init__(self, path: Path, samples: Sequence[Tensors]) -> None:
        self._model = _load(path)
        self.description = f"ONNX file {path.name}"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise BuildFailed(f"{path} cannot be run by ONNX Runtime: {first_line(error)}") from error
        inputs, outputs = _specs(self._session.get_inputs()), _specs(self._session.get_outputs())
        self._inputs = [spec.name for spec in inputs]  # as the graph has them, like the outputs
        names = plain_names(self._inputs)
        self._outputs = [spec.name for spec in outputs]
        distinct = distinct_names(self._outputs, names)
        self.signature = Signature(_named(inputs, names), _named(outputs, distinct))
        plain = dict(zip(self._inputs, names, strict=True))
        given = [{plain.get(name, name): array for name, array in sample.items()} for sample in samples]
        given = given or [made_up_sample(self.signature.inputs)]
        self.samples: Sequence[Tensors] = fit_samples(name_inputs(given, names), self.signature.inputs)

    def run(self, inputs: Mapping[str, Array]) -> Tensors:
        """All outputs by name."""
        names = [spec.name for spec in self.signature.outputs]
        try:
            own = {name: inputs[spec.name] for name, spec in zip(self._inputs, self.signature.inputs, strict=True)}
            return dict(zip(names, self._session.run(self._outputs, own), strict=True))
        except Exception as error:
            shapes = {name: list(array.shape) for name, array in inputs.items()}
            raise BuildFailed(f"{self.description} does not take the inputs {shapes}: {first_line(error)}") from error

    def freeze(self, folder: Path) -> dict[str, str]:
        """Write the model with its weights inside the one file."""
        onnx.save(self._model, folder / ONNX)
        return {}


def _load(path: Path) -> Any:
    try:
        onnx.checker.check_model(path, full_check=False)
        model = onnx.load(path)  # with weights that lie in files beside it
    except Exception as error:
        raise BuildFailed(f"{path} is no valid ONNX model: {first_line(error)}") from error
    if model.ByteSize() > MAX_BYTES:
        raise BuildFailed(f"{path}: {model.ByteSize()} bytes; models over 2 GB are not supported")
    return model


def _named(specs: Sequence[TensorSpec], names: Sequence[str]) -> tuple[TensorSpec, ...]:
    return tuple(replace(spec, name=name) for spec, name in zip(specs, names, strict=True))


def _specs(values: Sequence[Any]) -> tuple[TensorSpec, ...]:
    specs = []
    for value in values:
        datatype = _DATATYPES.get(value.type)
        if datatype is None:
            raise BuildFailed(
                f"{value.name!r} is {value.type}, and only tensors can be served"
                + ("; convert with zipmap=False" if value.type.startswith("seq(map") else "")
            )
        shape = tuple(size if isinstance(size, int) and size > 0 else -1 for size in value.shape)
        specs.append(TensorSpec(value.name, datatype, shape))
    return tuple(specs)
