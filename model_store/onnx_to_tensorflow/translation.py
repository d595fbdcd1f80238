"""From an ONNX model to a function that builds TensorFlow's graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import tensorflow as tf

from model_store.onnx_to_tensorflow import operators  # noqa: F401  (registers them)
from model_store.onnx_to_tensorflow.errors import UnsupportedOperators
from model_store.onnx_to_tensorflow.functions import domain_of, expanded, nodes
from model_store.onnx_to_tensorflow.registry import Node, find_operator, is_constant
from model_store.onnx_to_tensorflow.values import Value

Translated = Callable[[Mapping[str, Any]], dict[str, Any]]
Scope = dict[str, Value]


def translate(model: onnx.ModelProto) -> Translated:
    """A function from the model's inputs to its outputs, by name, to be traced inside a ``tf.function``.

    Initializers become constants. The inputs' static shapes may leave any dimension unknown; their ranks must be known.

    Raises:
        UnsupportedOperators: the graph or a graph inside it has operators that cannot be translated; names them all.
            The function raises it too, for a form of an operator that is seen only while tracing.
    """
    model = expanded(model)
    lacking = sorted({_full_name(node) for node in nodes(model.graph) if _operator(node) is None})
    if lacking:
        raise UnsupportedOperators(", ".join(lacking))
    graph = Graph(model.graph, {domain_of(entry.domain): entry.version for entry in model.opset_import})

    # AutoGraph would rewrite all of this code; what it traces is explicit.
    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def translated(inputs: Mapping[str, Any]) -> dict[str, Any]:
        scope = {name: Value(tensor) for name, tensor in inputs.items()}
        outputs = graph.run(scope)
        # A name of its own for each output, also when one is an input or a constant.
        return {name: tf.identity(output.tensor()) for name, output in zip(graph.outputs, outputs, strict=True)}

    return translated  # type: ignore[no-any-return]


class Graph:
    """A graph or subgraph, read once and run at every trace."""

    def __init__(self, proto: onnx.GraphProto, versions: dict[str, int]) -> None:
        self.constants = {tensor.name: Value(_array(tensor)) for tensor in proto.initializer}
        self.inputs = [entry.name for entry in proto.input if entry.name not in self.constants]
        self.outputs = [entry.name for entry in proto.output]
        self._steps = [Step(node, versions) for node in proto.node]

    def run(self, scope: Scope) -> list[Value]:
        """The outputs, given the values of the inputs and, for a subgraph, of everything around it."""
        scope = {**scope, **self.constants}
        for step in self._steps:
            step.run(scope)
        return [scope[name] for name in self.outputs]


class Step:
    """One node of a graph."""

    def __init__(self, proto: onnx.NodeProto, versions: dict[str, int]) -> None:
        found = _operator(proto)
        assert found is not None, "translate() has looked"  # noqa: S101
        self._operator = found
        self._op_type = proto.op_type
        self._version = versions[domain_of(proto.domain)]
        self._attributes = {entry.name: _attribute(entry, versions) for entry in proto.attribute}
        self._inputs = list(proto.input)
        self._outputs = list(proto.output)

    def run(self, scope: Scope) -> None:
        """Add the outputs to ``scope``."""
        values = [scope[name] if name else None for name in self._inputs]
        attributes = {
            name: _bound(entry, scope) if isinstance(entry, Graph) else entry
            for name, entry in self._attributes.items()
        }
        node = Node(self._op_type, self._version, attributes, values, len(self._outputs))
        results = self._fold(node) or self._apply(node)
        for name, result in zip(self._outputs, results, strict=False):
            if name and result is not None:
                scope[name] = result

    def _apply(self, node: Node) -> list[Value | None]:
        rank = _channels_last_rank(node) if self._operator.elementwise else None
        if rank is not None:
            beside = [value and Value(value.beside_channels_last(rank)) for value in node.values]
            node = Node(node.op_type, node.version, node.attributes, beside, node.outputs)
        results = self._operator.handler(node)
        results = results if isinstance(results, list | tuple) else [results]
        return [_value(result, channels_last=rank is not None) for result in results]

    def _fold(self, node: Node) -> list[Value | None] | None:
        """The outputs as constants, when all inputs are: computed now, by the same handler."""
        if self._operator.random or any(isinstance(entry, Graph) for entry in self._attributes.values()):
            return None
        if not all(value is None or value.folded for value in node.values):
            return None
        with tf.init_scope():
            if not tf.executing_eagerly():
                return None
            results = self._apply(Node(node.op_type, node.version, node.attributes, node.values, node.outputs))
            return [result and Value(np.asarray(result.tensor().numpy())) for result in results]


def _channels_last_rank(node: Node) -> int | None:
    ranks = {value.rank for value in node.values if value is not None and value.channels_last}
    if len(ranks) != 1:
        return None
    (rank,) = ranks
    fit = all(value is None or value.fits_channels_last(rank) for value in node.values)
    return rank if fit else None


def _value(result: Any, *, channels_last: bool) -> Value | None:
    if result is None or isinstance(result, Value):
        return result
    return Value(np.asarray(result) if is_constant(result) else result, channels_last=channels_last)


def _bound(graph: Graph, scope: Scope) -> Callable[..., list[Any]]:
    """A subgraph as function of its own inputs; it sees what is around it."""

    def run(*tensors: Any) -> list[Any]:
        own = {name: Value(tensor) for name, tensor in zip(graph.inputs, tensors, strict=True)}
        return [output.tensor() for output in graph.run({**scope, **own})]

    return run


def _attribute(proto: onnx.AttributeProto, versions: dict[str, int]) -> Any:
    if proto.type == onnx.AttributeProto.GRAPH:
        return Graph(proto.g, versions)
    entry = onnx.helper.get_attribute_value(proto)
    if isinstance(entry, bytes):
        return entry.decode()
    if isinstance(entry, onnx.TensorProto):
        return _array(entry)
    if isinstance(entry, list) or hasattr(entry, "append"):
        return [element.decode() if isinstance(element, bytes) else element for element in entry]
    return entry


def _array(tensor: onnx.TensorProto) -> Any:
    return onnx.numpy_helper.to_array(tensor)


def _operator(node: onnx.NodeProto) -> Any:
    return find_operator(domain_of(node.domain), node.op_type)


def _full_name(node: onnx.NodeProto) -> str:
    domain = domain_of(node.domain)
    return f"{domain}.{node.op_type}" if domain else node.op_type
