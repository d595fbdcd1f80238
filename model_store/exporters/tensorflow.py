"""Step: SavedModel for TensorFlow Serving, from the ONNX file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx2tf
import tensorflow as tf

from gateway.core.signatures import Signature
from model_store.definitions import get_definition
from model_store.engines.tensorflow import SIGNATURE
from model_store.errors import BuildFailed
from model_store.exporters.workdir import Workdir, step_arguments

# onnx2tf downloads this file for some input shapes, unless it lies in the current directory.
TEST_DATA = "calibration_image_sample_data_20x128x128x3_float32.npy"


def main() -> None:
    """Write ``tensorflow/<version>/``: a TensorFlow Serving base path with exactly the model's signature."""
    name, work = step_arguments()
    definition = get_definition(name)
    target = work.model.resolve() / "tensorflow" / definition.version
    converted = _convert(work, definition.signature)
    _save(converted, definition.signature, target)
    _check(target, definition.signature)


def _convert(work: Workdir, signature: Signature) -> Any:
    folder = work.scratch.resolve() / "onnx2tf"
    folder.mkdir()
    # onnx2tf rewrites its input in place.
    shutil.copy(work.model / "onnx" / "model.onnx", folder / "model.onnx")
    np.save(folder / TEST_DATA, np.random.default_rng(0).random((20, 128, 128, 3), np.float32))
    os.chdir(folder)
    onnx2tf.convert(
        input_onnx_file_path="model.onnx",
        output_folder_path="saved_model",
        output_signaturedefs=True,
        keep_shape_absolutely_input_names=[spec.name for spec in signature.inputs],
        non_verbose=True,
    )
    return tf.saved_model.load("saved_model")


def _save(converted: Any, signature: Signature, target: Path) -> None:
    """Save again under the model's own names: onnx2tf numbers the outputs."""
    inner = converted.signatures[SIGNATURE]
    inputs = {spec.name: spec for spec in inner.structured_input_signature[1].values()}
    specs = [inputs[spec.name] for spec in signature.inputs]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]
    def serve(*tensors: Any) -> dict[str, Any]:
        results = inner(**dict(zip([spec.name for spec in specs], tensors, strict=True)))
        return {spec.name: results[f"output_{index}"] for index, spec in enumerate(signature.outputs)}

    module = tf.Module()
    module.converted = converted  # keeps its variables alive in the new SavedModel
    tf.saved_model.save(module, str(target), signatures={SIGNATURE: serve.get_concrete_function()})


def _check(target: Path, signature: Signature) -> None:
    saved = tf.saved_model.load(str(target)).signatures[SIGNATURE]
    found = {
        "inputs": _shapes(saved.structured_input_signature[1]),
        "outputs": _shapes(saved.structured_outputs),
    }
    wanted = {
        "inputs": {spec.name: spec.shape for spec in signature.inputs},
        "outputs": {spec.name: spec.shape for spec in signature.outputs},
    }
    if found != wanted:
        raise BuildFailed(f"the SavedModel's signature is {found}, the model's is {wanted}")


def _shapes(specs: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(-1 if size is None else size for size in spec.shape) for name, spec in specs.items()}


if __name__ == "__main__":
    main()
