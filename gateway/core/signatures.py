"""What a model takes and gives, and the check that a request fits before any backend sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.tensors import Tensor

Task = Literal["predict", "classify", "regress"]


@dataclass(slots=True, frozen=True)
class TensorSpec:
    """Name, datatype and shape of one input or output; ``-1`` is a dimension of any size.

    ``optional``: a request may leave it out. ``advisory``: the shape is what the model declares, and its server holds
    requests to it no further than the model does (TensorFlow Serving).
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...]
    optional: bool = False
    advisory: bool = field(default=False, compare=False)

    def accepts_shape(self, shape: Sequence[int]) -> bool:
        """Whether a tensor of ``shape`` fits."""
        if self.advisory:
            return True
        if len(shape) != len(self.shape):
            return False
        for want, size in zip(self.shape, shape, strict=True):  # noqa: SIM110 - a generator doubles the time
            if want not in (-1, size):
                return False
        return True


@dataclass(slots=True, frozen=True)
class Signature:
    """Inputs and outputs of a model, in the model's own order.

    Attributes:
        inputs: what a request must bring; empty when the server of the model does not tell, and then all is taken.
        outputs: what an answer holds; empty when that is not known.
        task: what the model's server runs it as; ``classify`` and ``regress`` take serialised ``tf.Example`` messages.
        batched: every first dimension is ``-1``, the batch; the inputs of a request must agree on its size.
        advisory: shapes are for the backend to check.
        output_names: names of the outputs.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    task: Task = "predict"
    batched: bool = field(init=False)
    advisory: bool = field(init=False, compare=False, repr=False)
    output_names: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        specs = (*self.inputs, *self.outputs)
        advisory = any(spec.advisory for spec in self.inputs)
        free = bool(self.inputs) and all(spec.shape[:1] == (-1,) for spec in specs)
        object.__setattr__(self, "advisory", advisory)
        object.__setattr__(self, "batched", free)  # frozen, and asked for with every request
        object.__setattr__(self, "output_names", tuple(spec.name for spec in self.outputs))

    def check_inputs(self, inputs: Sequence[Tensor]) -> None:
        """Raise InvalidRequest, naming the field, unless ``inputs`` are exactly what the model takes."""
        # Nearly every request fits and comes in the model's order: the costly search for what is wrong can wait.
        if not self._fit_in_order(inputs):
            self._explain_misfit(inputs)
        if len(inputs) > 1 and self.batched and not self.advisory and len({tensor.shape[0] for tensor in inputs}) > 1:
            sizes = {tensor.name: tensor.shape[0] for tensor in inputs}
            raise InvalidRequest(f"inputs: batch sizes differ: {sizes}")

    def _fit_in_order(self, inputs: Sequence[Tensor]) -> bool:
        if len(inputs) != len(self.inputs):
            return not self.inputs and len({tensor.name for tensor in inputs}) == len(inputs)
        for tensor, spec in zip(inputs, self.inputs, strict=True):
            if tensor.name != spec.name or tensor.datatype is not spec.datatype:
                return False
            if not spec.accepts_shape(tensor.shape):
                return False
        return True

    def _explain_misfit(self, inputs: Sequence[Tensor]) -> None:
        given = {tensor.name: tensor for tensor in inputs}
        if len(given) != len(inputs):
            raise InvalidRequest(f"inputs: duplicate name in {[tensor.name for tensor in inputs]}")
        expected = [spec.name for spec in self.inputs]
        for name in given:
            if name not in expected:
                raise InvalidRequest(f"inputs: unknown input {name!r}; the model takes {expected}")
        for spec in self.inputs:
            tensor = given.get(spec.name)
            if tensor is None and spec.optional:
                continue
            if tensor is None:
                raise InvalidRequest(f"inputs: {spec.name!r} is missing; the model takes {expected}")
            _check_tensor(tensor, spec)
        if not inputs:
            raise InvalidRequest(f"inputs: none is given; the model takes {expected}")

    def check_outputs(self, names: Sequence[str]) -> None:
        """Raise InvalidRequest unless the requested output ``names`` exist and do not repeat."""
        known = self.output_names
        for name in names:
            if known and name not in known:
                raise InvalidRequest(f"outputs: unknown output {name!r}; the model gives {list(known)}")
        if len(set(names)) != len(names):
            raise InvalidRequest(f"outputs: duplicate name in {list(names)}")


def _check_tensor(tensor: Tensor, spec: TensorSpec) -> None:
    field = f"inputs[{tensor.name!r}]"
    if tensor.datatype is not spec.datatype:
        raise InvalidRequest(f"{field}: datatype {tensor.datatype} does not match the model's {spec.datatype}")
    if spec.advisory:
        return
    if len(tensor.shape) != len(spec.shape):
        raise InvalidRequest(
            f"{field}: rank {len(tensor.shape)} of shape {list(tensor.shape)} does not match "
            f"the model's {list(spec.shape)}"
        )
    if not spec.accepts_shape(tensor.shape):
        raise InvalidRequest(f"{field}: shape {list(tensor.shape)} does not match the model's {list(spec.shape)}")
