"""PyTorch: a module, a TorchScript archive or an exported program.

Frozen forms: ``program.pt2``, and ``script.pt`` for where ``torch.export`` cannot follow the code, or a converter the
program.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gateway.core.datatypes import datatype_of
from gateway.core.signatures import Signature, TensorSpec
from model_store.definitions.base import Array
from model_store.errors import BuildFailed
from model_store.exporters.forms import PROGRAM, SCRIPT
from model_store.oip_handler.program import from_torch, to_torch
from model_store.sources.base import (
    Tensors,
    distinct_names,
    first_line,
    infer_signature,
    name_inputs,
    repeat_rows,
    sample_needed,
)
from model_store.sources.torch_outputs import named_tensors

EXAMPLE_BATCH = 2  # torch.export takes 1 for a constant
_OTHER_FLOATS = "floats that numpy does not have, such as bfloat16: call .float() on the model first"
_FLOATS = {torch.float16: "f2", torch.float32: "f4", torch.float64: "f8"}


class PytorchSource:
    """Anything of PyTorch's that can be called with tensors.

    Args:
        native: a ``torch.nn.Module``, a ``ScriptModule`` or an ``ExportedProgram``.
        samples: inputs by name; ``""`` names the only input.
        inputs: names of the inputs; those of ``forward``'s parameters by default.
        outputs: names of the outputs; the keys of an answer that is a mapping, else ``output`` or ``output_0`` and on.

    Raises:
        BuildFailed: the samples do not fit it.
    """

    framework = "pytorch"
    labels: Sequence[str] = ()
    scores: str | None = None

    def __init__(
        self, native: Any, samples: Sequence[Tensors], inputs: Sequence[str] = (), outputs: Sequence[str] = ()
    ) -> None:
        self._program = native if isinstance(native, torch.export.ExportedProgram) else None
        self._module = native.module(check_guards=False) if self._program else native.eval()
        self.description = f"PyTorch {'exported program' if self._program else type(native).__name__}"
        samples = samples or self._recorded_sample()
        self._inputs = list(inputs) or self._parameters(native, samples[0])
        # A forward(batch) that gets several arrays wants them as one mapping.
        mapping = len(self._inputs) == 1 and len(samples[0]) > 1 and self._inputs[0] not in samples[0]
        self._inputs = [*samples[0]] if mapping else self._inputs
        self._positional = _Positional(self._module, self._inputs if mapping else ())
        self.samples: Sequence[Tensors] = [self._cast(sample) for sample in name_inputs(samples, self._inputs)]
        self._outputs = distinct_names(list(outputs) or self._output_names(), self._inputs)
        self.signature = self._infer()

    def run(self, inputs: Mapping[str, Array]) -> Tensors:
        """All outputs by name, computed by the module itself."""
        results = self._call([to_torch(inputs[name], "") for name in self._inputs]).values()
        return {name: _array(name, result) for name, result in zip(self._outputs, results, strict=True)}

    def freeze(self, folder: Path) -> dict[str, str]:
        """Export with free dimensions as the signature has them, and trace."""
        missing = {}
        try:
            self._export(folder / PROGRAM)
        except Exception as error:
            missing[PROGRAM] = f"torch.export: {first_line(error)}"
        try:
            self._trace(folder / SCRIPT)
        except Exception as error:
            missing[SCRIPT] = f"torch.jit.trace: {first_line(error)}"
        if len(missing) > 1:
            raise BuildFailed(f"{self.description} cannot be frozen: {'; '.join(missing.values())}")
        return missing

    def _export(self, target: Path) -> None:
        if isinstance(self._module, torch.jit.ScriptModule):
            raise BuildFailed("TorchScript is served as it is")
        program = self._program or export_program(self._positional, self.signature, self.samples[0])
        torch.export.save(program, target)

    def _trace(self, target: Path) -> None:
        # A trace follows one path through the code; the parity gate finds out when that was not all of it.
        if isinstance(self._module, torch.jit.ScriptModule):
            self._module.save(str(target))
            return
        with torch.inference_mode():
            traced = torch.jit.trace(self._positional, _example(self.signature, self.samples[0]), check_trace=False)
        traced.save(str(target))

    def _recorded_sample(self) -> list[Tensors]:
        if self._program is None or self._program.example_inputs is None:
            sample_needed(self.description)
        arguments, _ = self._program.example_inputs
        names = self._parameters(self._program, {})
        return [{name: from_torch(tensor) for name, tensor in zip(names, arguments, strict=True)}]

    def _infer(self) -> Signature:
        try:
            return infer_signature(self._inputs, self.samples, self.run, self._outputs)
        except BuildFailed:
            if self._program is None or self._program.range_constraints:
                raise
            # Exported for one fixed shape: that shape is the signature, and there is no batch dimension.
            answer = self.run(self.samples[0])
            return Signature(_fixed(self.samples[0], self._inputs), _fixed(answer, self._outputs))

    def _parameters(self, native: Any, sample: Tensors) -> list[str]:
        if self._program is not None:
            return [name for name in self._program.graph_signature.user_inputs if isinstance(name, str)]
        if isinstance(native, torch.jit.ScriptModule):
            names = [argument.name for argument in native.forward.schema.arguments][1:]
        else:
            parameters = inspect.signature(native.forward).parameters.values()
            named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            names = [
                parameter.name
                for parameter in parameters
                if parameter.kind in named
                and (parameter.default is inspect.Parameter.empty or parameter.name in sample)
            ]
        # A forward(*args) names nothing: then the sample's own names are taken, in its order.
        return names or ([*sample] if [*sample] != [""] else ["input"])

    def _output_names(self) -> list[str]:
        return [*self._call([to_torch(self.samples[0][name], "") for name in self._inputs])]

    def _call(self, tensors: Sequence[Any]) -> dict[str, Any]:
        with torch.inference_mode():
            try:
                return named_tensors(self._positional.call(*tensors))
            except BuildFailed:
                raise
            except Exception as error:
                given = ", ".join(
                    f"{name} {str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
                    for name, tensor in zip(self._inputs, tensors, strict=True)
                )
                raise BuildFailed(
                    f"{self.description} does not take the sample {given}: {first_line(error)}"
                ) from error

    def _cast(self, sample: Tensors) -> Tensors:
        """``numpy`` saves float64 where nobody asked for it: floats become those of the weights."""
        wrong = next((array.dtype for array in sample.values() if array.dtype.kind not in "biuf"), None)
        if wrong is not None:
            raise BuildFailed(f"the sample holds {wrong}; PyTorch takes numbers")
        floats = {tensor.dtype for tensor in self._module.state_dict().values() if tensor.is_floating_point()}
        if len(floats) != 1 or not any(array.dtype.kind == "f" for array in sample.values()):
            return sample
        dtype = _FLOATS.get(floats.pop())
        if dtype is None:
            raise BuildFailed(f"{self.description} has {_OTHER_FLOATS}")
        return {name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in sample.items()}


def export_program(module: Any, signature: Signature, sample: Tensors) -> Any:
    """The exported program of a module that takes tensors by position, with the signature's free dimensions free.

    Args:
        module: its ``forward`` is ``(*tensors)``.
        signature: which dimensions are free.
        sample: an input to trace with.
    """
    shapes = _dynamic_shapes(signature)
    return torch.export.export(module, _example(signature, sample), dynamic_shapes=(shapes,))


class _Positional(torch.nn.Module):  # type: ignore[misc]
    """A module that takes tensors by position and gives a tuple of them, whatever the inner one takes and gives.

    Args:
        inner: the user's module.
        keys: of the mapping that it takes; empty when it takes tensors by position itself.
    """

    def __init__(self, inner: Any, keys: Sequence[str] = ()) -> None:
        super().__init__()
        self.inner = inner
        self._keys = [*keys]

    def call(self, *tensors: Any) -> Any:
        """The user's module's own answer."""
        return self.inner(dict(zip(self._keys, tensors, strict=True))) if self._keys else self.inner(*tensors)

    def forward(self, *tensors: Any) -> tuple[Any, ...]:
        return tuple(named_tensors(self.call(*tensors)).values())


def _array(name: str, tensor: Any) -> Array:
    if tensor.dtype == torch.bfloat16:
        raise BuildFailed(f"output {name!r} has {_OTHER_FLOATS}")
    return from_torch(tensor)


def _example(signature: Signature, sample: Tensors) -> tuple[Any, ...]:
    arrays = [sample[spec.name] for spec in signature.inputs]
    if signature.batched:
        arrays = [repeat_rows(array, EXAMPLE_BATCH) for array in arrays]
    return tuple(to_torch(array, spec.datatype) for array, spec in zip(arrays, signature.inputs, strict=True))


def _dynamic_shapes(signature: Signature) -> tuple[dict[int, Any], ...]:
    if not signature.batched:
        return tuple({} for _ in signature.inputs)
    batch = torch.export.Dim("batch", min=1)
    return tuple(
        {axis: torch.export.Dim.DYNAMIC if axis else batch for axis, size in enumerate(spec.shape) if size == -1}
        for spec in signature.inputs
    )


def _fixed(tensors: Tensors, names: Sequence[str]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name, datatype_of(tensors[name]), tensors[name].shape) for name in names)
