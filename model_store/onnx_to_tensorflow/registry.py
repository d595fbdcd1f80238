"""Which function translates which operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_store.onnx_to_tensorflow.errors import UnsupportedOperators
from model_store.onnx_to_tensorflow.values import Value

ML = "ai.onnx.ml"


@dataclass(frozen=True)
class Node:
    """One operator of a graph with its inputs, as its handler sees it."""

    op_type: str
    version: int
    """Of the operator set that the graph imports."""
    attributes: dict[str, Any]
    """Strings as ``str``, tensors as numpy arrays, graphs as functions from tensors to tensors."""
    values: Sequence[Value | None]
    """The inputs; None for one that is left out."""
    outputs: int
    """How many outputs the graph names, at least up to the last that it uses."""

    def has(self, index: int) -> bool:
        """Whether the input is there."""
        return index < len(self.values) and self.values[index] is not None

    def value(self, index: int) -> Value:
        """An input, in whichever layout it is held."""
        value = self.values[index] if index < len(self.values) else None
        if value is None:
            raise ValueError(f"{self.op_type} lacks its input {index}")
        return value

    def __getitem__(self, index: int) -> Any:
        """An input as a tensor in ONNX's layout."""
        return self.value(index).tensor()

    def get(self, index: int, default: Any = None) -> Any:
        """An input that may be left out."""
        return self[index] if self.has(index) else default

    def all_from(self, first: int) -> list[Any]:
        """The inputs from this one on, of a variadic operator."""
        return [self[index] for index in range(first, len(self.values))]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute."""
        return self.attributes.get(name, default)

    def setting(self, name: str, index: int, default: Any = None) -> Any:
        """What older versions have as an attribute and newer ones as an input: a list, number or, rarely, tensor."""
        if name in self.attributes:
            return self.attributes[name]
        if not self.has(index):
            return default
        value = self.value(index)
        if value.constant is not None:
            return value.constant.tolist()
        return [] if self[index].shape == [0] else self[index]

    def fixed(self, name: str, index: int, default: Any = None) -> Any:
        """A ``setting`` that TensorFlow must know while tracing.

        Raises:
            UnsupportedOperators: it is computed by the graph.
        """
        found = self.setting(name, index, default)
        if hasattr(found, "dtype"):
            raise UnsupportedOperators(f"{self.op_type} whose {name!r} is not a constant")
        return found

    def constant(self, index: int) -> Any:
        """An input as numpy array, when it is there and known while tracing."""
        return self.value(index).constant if self.has(index) else None

    def require(self, condition: bool, what: str) -> None:
        """Refuse a form of the operator that cannot be translated."""
        if not condition:
            raise UnsupportedOperators(f"{self.op_type} with {what}")


Handler = Callable[[Node], Any]
"""Gives one output or a list of them: tensors, ``Value`` or, for constants, numpy arrays; None for one left out."""


@dataclass(frozen=True)
class Operator:
    """How an operator is translated."""

    handler: Handler
    elementwise: bool
    """It gives at each position what its inputs have there, so it works in any layout."""
    random: bool


_OPERATORS: dict[tuple[str, str], Operator] = {}


def operator(
    *op_types: str, domain: str = "", elementwise: bool = False, random: bool = False
) -> Callable[[Handler], Handler]:
    """Register the function that translates these operators."""

    def register(handler: Handler) -> Handler:
        for op_type in op_types:
            _OPERATORS[domain, op_type] = Operator(handler, elementwise, random)
        return handler

    return register


def find_operator(domain: str, op_type: str) -> Operator | None:
    """How the operator is translated, if it can be."""
    return _OPERATORS.get((domain, op_type))


def is_constant(held: Any) -> bool:
    """Whether a handler gave a constant."""
    return isinstance(held, np.ndarray | np.generic)
