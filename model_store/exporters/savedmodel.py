"""Step: the frozen SavedModel for TensorFlow Serving, with its variables turned into constants."""

from __future__ import annotations

import shutil

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from model_store.engines.tensorflow import SIGNATURE
from model_store.exporters.forms import SAVED_MODEL
from model_store.exporters.workdir import Workdir, step_workdir
from model_store.sources.savedmodel import save_function


def main() -> None:
    """Write ``tensorflow/<version>/``.

    Constants let TensorFlow fold what variables forbid, such as a batch normalisation into its convolution. A model
    whose variables cannot be frozen is served as it is.
    """
    work = step_workdir()
    source, target = work.frozen / SAVED_MODEL, work.model / "tensorflow" / work.recipe().version
    try:
        _freeze(work)
    except Exception as error:
        print(f"the variables stay variables: {error}")  # noqa: T201  a step's output is its log
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)


def _freeze(work: Workdir) -> None:
    signature = work.facts().model_signature()
    loaded = tf.saved_model.load(str(work.frozen / SAVED_MODEL))
    inner = loaded.signatures[SIGNATURE]
    by_name = inner.structured_input_signature[1]
    specs = {spec.name: by_name[spec.name] for spec in signature.inputs}

    @tf.function(input_signature=[*specs.values()])  # type: ignore[untyped-decorator]
    def call(*tensors: object) -> list[object]:
        results = inner(**dict(zip(specs, tensors, strict=True)))
        return [results[spec.name] for spec in signature.outputs]

    frozen = convert_variables_to_constants_v2(call.get_concrete_function())
    names = [spec.name for spec in signature.outputs]
    shapes = [[None if size == -1 else size for size in spec.shape] for spec in signature.outputs]

    def answer(tensors: dict[str, object]) -> dict[str, object]:
        results = frozen(*(tensors[name] for name in specs))
        return {name: tf.ensure_shape(r, shape) for name, r, shape in zip(names, results, shapes, strict=True)}

    save_function(answer, specs, None, work.model / "tensorflow" / work.recipe().version)


if __name__ == "__main__":
    main()
