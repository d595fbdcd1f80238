"""What a model takes and gives, and the check that a request fits before any backend sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Tensor


@dataclass(slots=True, frozen=True)
class TensorSpec:
    """Name, datatype and shape of one input or output; ``-1`` is a dimension of any size."""

    name: str
    datatype: Datatype
    shape: tuple[int, ...]

    def accepts_shape(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of ``shape`` fits."""
        return len(shape) == len(self.shape) and all(
            want in (-1, size) for want, size in zip(self.shape, shape, strict=True)
        )


@dataclass(slots=True, frozen=True)
class Signature:
    """Inputs and outputs of a model, in the model's own order.

    When every first dimension is ``-1`` it is the batch: requests must agree on its size.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batched(self) -> bool:
        """Whether the first dimension of every tensor is a free batch dimension."""
        return all(spec.shape[:1] == (-1,) for spec in (*self.inputs, *self.outputs))

    def check_inputs(self, inputs: Sequence[Tensor]) -> None:
        """Raise InvalidRequest, naming the field, unless ``inputs`` are exactly what the model takes."""
        given = {tensor.name: tensor for tensor in inputs}
        if len(given) != len(inputs):
            raise InvalidRequest(f"inputs: duplicate name in {[tensor.name for tensor in inputs]}")
        expected = [spec.name for spec in self.inputs]
        for name in given:
            if name not in expected:
                raise InvalidRequest(f"inputs: unknown input {name!r}; the model takes {expected}")
        for spec in self.inputs:
            tensor = given.get(spec.name)
            if tensor is None:
                raise InvalidRequest(f"inputs: {spec.name!r} is missing; the model takes {expected}")
            _check_tensor(tensor, spec)
        if self.batched and len({tensor.shape[0] for tensor in inputs}) > 1:
            sizes = {tensor.name: tensor.shape[0] for tensor in inputs}
            raise InvalidRequest(f"inputs: batch sizes differ: {sizes}")

    def check_outputs(self, names: Sequence[str]) -> None:
        """Raise InvalidRequest unless the requested output ``names`` exist and do not repeat."""
        known = [spec.name for spec in self.outputs]
        for name in names:
            if name not in known:
                raise InvalidRequest(f"outputs: unknown output {name!r}; the model gives {known}")
        if len(set(names)) != len(names):
            raise InvalidRequest(f"outputs: duplicate name in {list(names)}")


def _check_tensor(tensor: Tensor, spec: TensorSpec) -> None:
    field = f"inputs[{tensor.name!r}]"
    if tensor.datatype is not spec.datatype:
        raise InvalidRequest(f"{field}: datatype {tensor.datatype} does not match the model's {spec.datatype}")
    if len(tensor.shape) != len(spec.shape):
        raise InvalidRequest(
            f"{field}: rank {len(tensor.shape)} of shape {list(tensor.shape)} does not match "
            f"the model's {list(spec.shape)}"
        )
    if not spec.accepts_shape(tensor.shape):
        raise InvalidRequest(f"{field}: shape {list(tensor.shape)} does not match the model's {list(spec.shape)}")
