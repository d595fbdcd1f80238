"""Step: another precision of a built model, in place of opening a source."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from model_store.errors import BuildFailed
from model_store.exporters import forms
from model_store.exporters.workdir import Facts, Tensors, Workdir, save_tensors, step_workdir
from model_store.gate_inputs import gate_inputs
from model_store.manifest import Manifest, load_manifest
from model_store.measure import load_evaluation
from model_store.parity.inputs import dataset_rows
from model_store.recipe import Variant
from model_store.store import StoredModel
from model_store.variants import TOLERANCES

CALIBRATION_ROWS = 128
# What gains from 8 bits. Without any of these a graph stays as large and as slow as it is.
QUANTIZED = ("Conv", "MatMul", "Gemm")


def main() -> None:
    """Write the variant's graph, the base's samples, evaluation set and reference answers, and the facts."""
    work = step_workdir()
    recipe = work.recipe()
    if not isinstance(recipe, Variant):
        raise TypeError(f"a variant is needed, this is a {type(recipe).__name__}")
    base = StoredModel(Path(recipe.base), load_manifest(Path(recipe.base)))
    manifest = base.manifest
    for kept in ("samples", "evaluation", "reference", "labels.txt", *_assets(base)):
        _copy(base.directory / kept, work.model / kept)
    save_tensors(work.inputs, gate_inputs(base, made_up=TOLERANCES[recipe.kind].made_up))
    work.frozen.mkdir()
    source, target = base.artifact("onnx"), work.frozen / forms.ONNX
    if recipe.kind == "fp16":
        _to_fp16(source, target)
    else:
        _to_int8(source, target, work, _calibration_rows(base))
    work.write_facts(_facts(manifest, recipe))


def _to_fp16(source: Path, target: Path) -> None:
    model = onnx.load(source)
    if not _has_floats(model):
        raise BuildFailed("the graph has no FP32 weights: there is nothing to halve")
    halved = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
    halved.topological_sort()  # the converter appends its casts at the end
    onnx.save(halved.model, target)


def _to_int8(source: Path, target: Path, work: Workdir, rows: list[Tensors]) -> None:
    """Static quantisation, each channel with a scale of its own, activations as the calibration data spreads them."""
    if not any(node.op_type in QUANTIZED for node in onnx.load(source, load_external_data=False).graph.node):
        raise BuildFailed(f"the graph has none of {', '.join(QUANTIZED)}: there is nothing to quantise")
    prepared = work.scratch / "prepared.onnx"
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        target,
        _Rows(rows),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": False, "WeightSymmetric": True},
    )


class _Rows(CalibrationDataReader):  # type: ignore[misc]
    """Real inputs, one after the other."""

    def __init__(self, rows: list[Tensors]) -> None:
        self._rows: Iterator[Tensors] = iter(rows)

    def get_next(self) -> Tensors | None:
        return next(self._rows, None)


def _calibration_rows(base: StoredModel) -> list[Tensors]:
    dataset = dataset_rows(load_evaluation(base.directory))
    return [*(dict(sample) for sample in base.samples().values()), *dataset.values()][:CALIBRATION_ROWS]


def _facts(manifest: Manifest, recipe: Variant) -> Facts:
    return Facts(
        framework="onnx",
        origin=f"{recipe.kind} of {manifest.name}",
        variant_of=manifest.name,
        description=f"{manifest.description} ({recipe.kind})",
        license=manifest.license,
        signature=manifest.signature,
        max_batch_size=manifest.max_batch_size,
        preprocessing=manifest.preprocessing,
        postprocessing=manifest.postprocessing,
        tolerance=None,
        missing_forms={},
        metrics=manifest.metrics,
        files={},
    )


def _assets(base: StoredModel) -> list[str]:
    return [path for path in base.manifest.files if "/" not in path and not path.startswith("parity.")]


def _has_floats(model: Any) -> bool:
    return any(tensor.data_type == onnx.TensorProto.FLOAT for tensor in model.graph.initializer)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copy(source, target)


if __name__ == "__main__":
    main()
