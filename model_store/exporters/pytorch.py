"""Step: load or train the PyTorch module, export it once, and write the ONNX file from that one program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from gateway.core.datatypes import NUMPY_DTYPE
from gateway.core.signatures import Signature, TensorSpec
from model_store.definitions import get_definition
from model_store.exporters.workdir import Tensors, load_tensors, save_tensors, step_arguments
from model_store.oip_handler.program import from_torch, to_torch

EXAMPLE_BATCH = 2  # 1 would be taken for a constant


def main() -> None:
    """Write the program, ``onnx/model.onnx``, the metrics, and the module's own answers for the parity gate."""
    name, work = step_arguments()
    definition = get_definition(name)
    source = definition.source()
    module = source.module.eval()
    work.metrics.write_text(json.dumps(dict(source.metrics)))
    answers = {key: _run(module, tensors, definition.signature) for key, tensors in load_tensors(work.inputs).items()}
    save_tensors(work.outputs("source"), answers)

    program = _export(module, definition.signature)
    torch.export.save(program, work.program)
    path = work.model / "onnx" / "model.onnx"
    path.parent.mkdir()
    _write_onnx(program, definition.signature, path)


def _run(module: Any, tensors: Tensors, signature: Signature) -> Tensors:
    with torch.inference_mode():
        results = module(*(to_torch(tensors[spec.name], spec.datatype) for spec in signature.inputs))
    results = (results,) if isinstance(results, torch.Tensor) else results
    return {spec.name: from_torch(result) for spec, result in zip(signature.outputs, results, strict=True)}


def _export(module: Any, signature: Signature) -> Any:
    batch = torch.export.Dim("batch", min=1)
    sizes = [
        {axis: torch.export.Dim.DYNAMIC if axis else batch for axis, size in enumerate(spec.shape) if size == -1}
        for spec in signature.inputs
    ]
    example = tuple(_example(spec) for spec in signature.inputs)
    return torch.export.export(module, example, dynamic_shapes=tuple(sizes))


def _example(spec: TensorSpec) -> Any:
    shape = [EXAMPLE_BATCH if size == -1 else size for size in spec.shape]
    return to_torch(np.zeros(shape, NUMPY_DTYPE[spec.datatype]), spec.datatype)


def _write_onnx(program: Any, signature: Signature, path: Path) -> None:
    names = [[spec.name for spec in specs] for specs in (signature.inputs, signature.outputs)]
    torch.onnx.export(program, (), path, input_names=names[0], output_names=names[1], dynamo=True, external_data=False)
    model = onnx.load(path)
    _strip(model.graph)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _strip(graph: Any) -> None:
    """Call the batch "batch" where it is seen, and drop the exporter's notes: they hold paths of this machine."""
    symbols = {value.type.tensor_type.shape.dim[0].dim_param for value in graph.input}
    for value in (*graph.input, *graph.output):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param in symbols and dimension.dim_param:
                dimension.dim_param = "batch"
    del graph.value_info[:]
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph):
        del item.metadata_props[:]
        item.ClearField("doc_string")


if __name__ == "__main__":
    main()
