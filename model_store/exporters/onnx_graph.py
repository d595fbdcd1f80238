"""What every route to an ONNX file ends with: the model's own names, nothing of this machine, and a check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

from gateway.core.signatures import Signature
from model_store.errors import BuildFailed


def finish(model: Any, signature: Signature, path: Path) -> None:
    """Give ``model`` the signature's names, strip it, check it and write it to ``path``.

    Raises:
        BuildFailed: it has operators that are not ONNX's, or other inputs and outputs than the model.
    """
    unknown = unknown_operators(model)
    if unknown:
        raise BuildFailed(f"the converter left operators that are not ONNX's: {', '.join(unknown)}")
    names = [[spec.name for spec in specs] for specs in (signature.inputs, signature.outputs)]
    initialized = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialized]
    for found, wanted, what in ((inputs, names[0], "inputs"), (model.graph.output, names[1], "outputs")):
        if len(found) != len(wanted):
            raise BuildFailed(f"the converted graph has the {what} {[v.name for v in found]}, the model {wanted}")
    _rename(model.graph, [value.name for value in inputs], names[0])
    for value, name in zip(model.graph.output, names[1], strict=True):
        if name in names[0] and value.name != name:
            raise BuildFailed(f"{name!r} is an input and an output, and in an ONNX graph they would be one value")
    _rename_outputs(model.graph, names[1])
    _name_dimensions(model.graph, signature)
    _strip(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    onnx.checker.check_model(path, full_check=False)


def unknown_operators(model: Any) -> list[str]:
    """Operators in the graph that neither ONNX nor ONNX Runtime's own domain defines, by name."""
    local = {(function.domain, function.name) for function in model.functions}
    known = {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft"}
    found = set()
    for node in (*_nodes(model.graph), *(node for function in model.functions for node in _nodes(function))):
        if (node.domain, node.op_type) in local or (node.domain in known and _defined(node)):
            continue
        found.add(f"{node.domain}.{node.op_type}".lstrip("."))
    return sorted(found)


def _defined(node: Any) -> bool:
    domain = "" if node.domain == "ai.onnx" else node.domain  # the same by its long name
    return domain == "com.microsoft" or bool(onnx.defs.has(node.op_type, domain=domain))


def _nodes(graph: Any) -> list[Any]:
    return [node for inner in _graphs(graph) for node in inner.node]


def _graphs(graph: Any) -> list[Any]:
    """``graph``, a graph or a function, and all graphs inside."""
    attributes = [attribute for node in graph.node for attribute in node.attribute]
    subgraphs = [inner for one in attributes for inner in (*([one.g] if one.HasField("g") else []), *one.graphs)]
    return [graph, *(found for inner in subgraphs for found in _graphs(inner))]


def _rename(graph: Any, old: Sequence[str], new: Sequence[str]) -> None:
    """Rename values everywhere; whatever has a new name already steps aside."""
    renames = {was: name for was, name in zip(old, new, strict=True) if was != name}
    taken = {name for inner in _graphs(graph) for name in _values(inner)} | {*new}
    aside = {}
    for name in renames.values():
        if name in taken and name not in renames:
            aside[name] = _unused(f"{name}__inner", taken)
    for inner in _graphs(graph):
        _apply(inner, renames | aside)


def _rename_outputs(graph: Any, new: Sequence[str]) -> None:
    # An output may be an input, an initializer, or twice the same value: each gets a node of its own then.
    inputs = {value.name for value in graph.input}
    seen = inputs | {tensor.name for tensor in graph.initializer}
    for value, wanted in zip(graph.output, new, strict=True):
        if value.name == wanted and wanted in inputs:
            continue  # passed on under its own name
        if value.name in seen:
            taken = {name for inner in _graphs(graph) for name in _values(inner)}
            source, value.name = value.name, _unused(f"{value.name}__output", taken)
            graph.node.append(onnx.helper.make_node("Identity", [source], [value.name]))
        seen.add(value.name)
    _rename(graph, [value.name for value in graph.output], new)


def _unused(name: str, taken: set[str]) -> str:
    """``name``, with a number if it is taken; it is then."""
    found = next(free for free in (name, *(f"{name}_{n}" for n in range(2, len(taken) + 3))) if free not in taken)
    taken.add(found)
    return found


def _apply(graph: Any, renames: dict[str, str]) -> None:
    for value in (*graph.input, *graph.output, *_tensors(graph)):
        value.name = renames.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [renames.get(name, name) for name in node.input]
        node.output[:] = [renames.get(name, name) for name in node.output]


def _values(graph: Any) -> set[str]:
    named = {value.name for value in (*graph.input, *graph.output, *_tensors(graph))}
    return named | {name for node in graph.node for name in node.output}


def _tensors(graph: Any) -> list[Any]:
    return [*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)]


def _name_dimensions(graph: Any, signature: Signature) -> None:
    """Free and fixed dimensions as the signature has them; the batch is called "batch"."""
    specs = {spec.name: spec for spec in (*signature.inputs, *signature.outputs)}
    for value in (*graph.input, *graph.output):
        spec = specs.get(value.name)
        dimensions = value.type.tensor_type.shape.dim
        if spec is None or len(dimensions) != len(spec.shape):
            continue
        for axis, (dimension, size) in enumerate(zip(dimensions, spec.shape, strict=True)):
            if size == -1 and axis == 0 and signature.batched:
                dimension.dim_param = "batch"
            elif size != -1:
                dimension.dim_value = size
            elif not dimension.dim_param:
                dimension.dim_param = f"{value.name}_{axis}"


def _strip(model: Any) -> None:
    """Drop the exporter's notes: they hold paths of this machine; and shapes inside, which the renaming made stale."""
    graphs = [inner for graph in (model.graph, *model.functions) for inner in _graphs(graph)]
    for graph in graphs:
        del graph.value_info[:]
    parts = [part for graph in _graphs(model.graph) for part in (*graph.input, *graph.output, *graph.initializer)]
    for item in (model, *graphs, *parts, *(node for graph in graphs for node in graph.node)):
        del item.metadata_props[:]
        item.ClearField("doc_string")
