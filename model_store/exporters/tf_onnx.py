"""Step: ONNX from the frozen SavedModel, through tf2onnx."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
import tf2onnx

from model_store.engines.tensorflow import SIGNATURE
from model_store.exporters import tf_operators  # noqa: F401  an import that registers
from model_store.exporters.forms import SAVED_MODEL
from model_store.exporters.onnx_graph import finish
from model_store.exporters.workdir import step_workdir

OPSET = 18  # the newest that tf2onnx writes


def main() -> None:
    """Write ``onnx/model.onnx``."""
    work = step_workdir()
    signature = work.facts().model_signature()
    loaded = tf.saved_model.load(str(work.frozen / SAVED_MODEL))
    inner = loaded.signatures[SIGNATURE]
    specs = [inner.structured_input_signature[1][spec.name] for spec in signature.inputs]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]
    def call(*tensors: object) -> list[object]:
        results = inner(**dict(zip([spec.name for spec in specs], tensors, strict=True)))
        return [results[spec.name] for spec in signature.outputs]  # a list: a mapping would be sorted by name

    model, _ = tf2onnx.convert.from_function(call, input_signature=specs, opset=OPSET)
    finish(model, signature, work.onnx)


if __name__ == "__main__":
    main()
