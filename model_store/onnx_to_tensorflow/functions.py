"""Operators that ONNX defines by simpler ones, and functions that a model brings along."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.defs
import onnx.inliner
import onnx.shape_inference

from model_store.onnx_to_tensorflow.registry import find_operator

_EXPANDED = "model_store.expanded"


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions, and with operators that we lack replaced by their definitions where ONNX has them.

    ONNX's own inliner would do the second part too, but not for operators with an input left out before another
    (Attention with a cache and no mask) or with an attribute left to its default.
    """
    result = onnx.ModelProto()
    result.CopyFrom(onnx.inliner.inline_local_functions(model) if model.functions else model)
    while _define(result):
        result = onnx.inliner.inline_local_functions(result)
    return result


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of subgraphs too."""
    for node in graph.node:
        yield node
        for entry in node.attribute:
            if entry.type == onnx.AttributeProto.GRAPH:
                yield from nodes(entry.g)


def domain_of(name: str) -> str:
    """The empty name and ai.onnx are one domain."""
    return "" if name == "ai.onnx" else name


def _define(model: onnx.ModelProto) -> bool:
    """Turn each operator that we lack into a call of a function of its own, if ONNX defines it."""
    lacking = [node for node in nodes(model.graph) if find_operator(domain_of(node.domain), node.op_type) is None]
    if not lacking:
        return False
    types = _types(onnx.shape_inference.infer_shapes(model).graph)
    versions = {domain_of(entry.domain): entry.version for entry in model.opset_import}
    found = False
    for node in lacking:
        body = _definition(node, versions, types)
        if body is None:
            continue
        found = True
        body.domain, body.name = _EXPANDED, f"{node.op_type}_{len(model.functions)}"
        model.functions.append(body)
        node.domain, node.op_type = body.domain, body.name
    if found and _EXPANDED not in versions:
        model.opset_import.add(domain=_EXPANDED, version=1)
    return found


def _definition(
    node: onnx.NodeProto, versions: dict[str, int], types: dict[str, onnx.TypeProto]
) -> onnx.FunctionProto | None:
    version = versions.get(domain_of(node.domain), 0)
    if not onnx.defs.has(node.op_type, version, node.domain):
        return None
    schema = onnx.defs.get_schema(node.op_type, version, node.domain)
    _write_defaults(node, schema)
    body = onnx.FunctionProto()
    if chosen := _newest(schema.function_opset_versions, versions[""]):
        body.ParseFromString(schema.get_function_with_opset_version(chosen))
    elif chosen := _newest(schema.context_dependent_function_opset_versions, versions[""]):
        inputs = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
        text = node.SerializeToString()
        body.ParseFromString(schema.get_context_dependent_function_with_opset_version(chosen, text, inputs))
    for entry in body.opset_import:  # a definition holds until there is a newer one; the inliner wants equal versions
        entry.version = versions.get(domain_of(entry.domain), entry.version)
    return body if body.node else None


def _newest(versions: list[int], limit: int) -> int:
    return max((version for version in versions if version <= limit), default=0)


def _write_defaults(node: onnx.NodeProto, schema: onnx.defs.OpSchema) -> None:
    """Give the node the attributes that it leaves out: the inliner does not know them."""
    given = {entry.name for entry in node.attribute}
    for name, entry in schema.attributes.items():
        if name not in given and entry.default_value.type:
            node.attribute.append(entry.default_value)


def _types(graph: onnx.GraphProto) -> dict[str, onnx.TypeProto]:
    types = {entry.name: entry.type for entry in (*graph.input, *graph.value_info, *graph.output)}
    for tensor in graph.initializer:
        types.setdefault(tensor.name, onnx.helper.make_tensor_type_proto(tensor.data_type, tensor.dims))
    for node in graph.node:
        for entry in node.attribute:
            if entry.type == onnx.AttributeProto.GRAPH:
                types |= _types(entry.g)
    return types
