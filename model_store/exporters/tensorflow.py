"""Step: SavedModel for TensorFlow Serving, from the ONNX file."""

from __future__ import annotations

import onnx
import tensorflow as tf

from model_store.engines.tensorflow import SIGNATURE
from model_store.errors import BuildFailed
from model_store.exporters.workdir import step_workdir
from model_store.onnx_to_tensorflow import translate
from model_store.sources.savedmodel import save_function, tensor_specs, tf_specs


def main() -> None:
    """Write ``tensorflow/<version>/``: a TensorFlow Serving base path with exactly the model's signature."""
    work = step_workdir()
    signature = work.facts().model_signature()
    target = work.model / "tensorflow" / work.recipe().version
    call = translate(onnx.load(work.onnx))
    specs = tf_specs(signature.inputs)
    # What the graph's operators leave unknown of the outputs' shapes, the signature knows.
    shapes = {spec.name: [None if n == -1 else n for n in spec.shape] for spec in signature.outputs}
    save_function(
        lambda tensors: {name: tf.ensure_shape(tensor, shapes[name]) for name, tensor in call(tensors).items()},
        specs,
        None,
        target,
    )
    saved = tf.saved_model.load(str(target)).signatures[SIGNATURE]
    found = {spec.name: spec for spec in tensor_specs(saved.structured_outputs)}
    for spec in signature.outputs:
        if found.get(spec.name) != spec:
            raise BuildFailed(f"the SavedModel's output is {found.get(spec.name)}, the model's is {spec}")


if __name__ == "__main__":
    main()
