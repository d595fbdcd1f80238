"""Step: the original of a model, made as in its build or given by the user, saved in its framework's own form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from model_store.definitions import get_definition
from model_store.definitions.base import Array
from model_store.errors import BuildFailed
from model_store.gate_inputs import gate_inputs
from model_store.manifest import load_manifest
from model_store.originals import FILE_NAME, FRAMEWORKS, Original
from model_store.sources.opening import make_source, open_native
from model_store.store import StoredModel


def main() -> None:
    """Arguments: the built model, the folder for its original; of a given one the path, the name in it, ``trust``."""
    directory, folder, given = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    stored = StoredModel(directory, load_manifest(directory))
    samples = [*map(dict, stored.samples().values())]
    if given:
        path, entry, trust = given
        native = open_native(Path(path), entry, trust=trust == "trust")
        source = make_source(native, samples)
    else:
        definition = get_definition(stored.manifest.name)
        native = definition.source()
        source = make_source(native, samples, definition.inputs, definition.outputs)
    if source.framework not in FRAMEWORKS:
        raise BuildFailed(f"an original of {source.framework} cannot be opened on its own")
    source.freeze(folder)
    original = _sklearn(native, source.description, stored) if source.framework == "scikit-learn" else _keras(native)
    (folder / FILE_NAME).write_bytes(msgspec.json.encode(original))


def _keras(model: Any) -> Original:
    return Original("keras", f"predict_on_batch of {type(model).__name__}")


def _sklearn(estimator: Any, description: str, stored: StoredModel) -> Original:
    from model_store.originals.sklearn import METHODS
    from model_store.sources.sklearn import LABEL, PROBABILITIES

    outputs = [spec.name for spec in stored.manifest.signature.outputs]
    inputs = [array for tensors in gate_inputs(stored, made_up=True).values() for array in tensors.values()]
    derived = {LABEL, PROBABILITIES} <= {*outputs} and all(_label_is_best(estimator, features) for features in inputs)
    methods = [METHODS[output] for output in outputs if not (derived and output == LABEL)]
    return Original("scikit-learn", f"{' and '.join(methods)} of {description}", derived)


def _label_is_best(estimator: Any, features: Array) -> bool:
    """Whether ``predict`` gives the class with the best probability: not so for a support vector machine."""
    best = estimator.classes_.take(np.argmax(estimator.predict_proba(features), axis=1))
    return bool(np.array_equal(best, estimator.predict(features)))


if __name__ == "__main__":
    main()
