"""scikit-learn: an estimator or a pipeline.

Frozen form: ``estimator.joblib``, written and read by the build alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from model_store.definitions.base import Array
from model_store.errors import BuildFailed
from model_store.exporters.forms import ESTIMATOR
from model_store.sources.base import Tensors, first_line, infer_signature, name_inputs, sample_needed

INPUT = "input"
LABEL, PROBABILITIES, SCORES, PREDICTION, TRANSFORMED = "label", "probabilities", "scores", "prediction", "transformed"


class SklearnSource:
    """A fitted estimator.

    A classifier gives ``label`` (where its classes are integers) and ``probabilities``, or ``scores`` where it has no
    probabilities; one that has neither, and text for classes, gives their places among its labels as ``label``. A
    regressor gives ``prediction``; a clusterer ``label``; a transformer ``transformed``. It takes FP32 (the trees of
    scikit-learn cast to it themselves), or INT64 when the sample holds integers.

    Raises:
        BuildFailed: it is not fitted, or the sample does not fit it.
    """

    framework = "scikit-learn"

    def __init__(self, estimator: Any, samples: Sequence[Tensors]) -> None:
        self._estimator = estimator
        self.description = _class_name(estimator)
        samples = samples or [_made_up(estimator, self.description)]
        self.samples: Sequence[Tensors] = [
            {INPUT: _features(sample[INPUT])} for sample in name_inputs(samples, [INPUT])
        ]
        self._outputs = self._output_functions()
        self.labels: Sequence[str] = [str(name) for name in getattr(estimator, "classes_", ())]
        self.scores = next((name for name in (PROBABILITIES, SCORES) if name in self._outputs), None)
        self.signature = infer_signature([INPUT], self.samples, self.run)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs, in order."""
        return [*self._outputs]

    def run(self, inputs: Mapping[str, Array]) -> Tensors:
        """All outputs by name, computed by scikit-learn in double precision where it can."""
        features = inputs[INPUT]
        wide = features.astype(np.float64) if features.dtype.kind == "f" else features
        try:
            return self._answers(wide)
        except Exception as error:
            with suppress(Exception):  # some that were fitted in single precision take nothing else
                return self._answers(features)
            raise BuildFailed(
                f"{self.description} does not take the sample {list(features.shape)}: {first_line(error)}"
            ) from error

    def _answers(self, features: Array) -> Tensors:
        return {name: _as_rows(function(features)) for name, function in self._outputs.items()}

    def freeze(self, folder: Path) -> dict[str, str]:
        """Pickle the estimator for the converter's process."""
        try:
            joblib.dump((self._estimator, self.outputs), folder / ESTIMATOR)
        except Exception as error:
            raise BuildFailed(f"{self.description} cannot be handed to the converter: {first_line(error)}") from error
        return {}

    def _output_functions(self) -> dict[str, Callable[[Any], Any]]:
        estimator = self._estimator
        if hasattr(estimator, "classes_"):
            return self._classifier_outputs()
        if getattr(estimator, "_estimator_type", None) in ("clusterer", "outlier_detector") or _is_clusterer(estimator):
            return {LABEL: estimator.predict}
        if hasattr(estimator, "predict_proba"):  # a mixture: its components are as good as classes
            return {LABEL: estimator.predict, PROBABILITIES: estimator.predict_proba}
        if hasattr(estimator, "predict"):
            return {PREDICTION: estimator.predict}
        if hasattr(estimator, "transform"):
            return {TRANSFORMED: estimator.transform}
        raise BuildFailed(f"{self.description} has neither predict nor transform: it cannot be served")

    def _classifier_outputs(self) -> dict[str, Callable[[Any], Any]]:
        estimator = self._estimator
        functions: dict[str, Callable[[Any], Any]] = {}
        if isinstance(estimator.classes_, list):
            raise BuildFailed(f"{self.description} classifies several targets at once: serve one estimator a target")
        if np.asarray(estimator.classes_).dtype.kind in "biu":
            functions[LABEL] = estimator.predict
        if hasattr(estimator, "predict_proba"):
            functions[PROBABILITIES] = estimator.predict_proba
        elif len(estimator.classes_) > 2 and hasattr(estimator, "decision_function"):
            functions[SCORES] = estimator.decision_function
        if not functions:  # text is not carried by every server: its place among the labels is
            functions[LABEL] = lambda features: np.searchsorted(estimator.classes_, estimator.predict(features))
        return functions


def _made_up(estimator: Any, description: str) -> Tensors:
    width = getattr(estimator, "n_features_in_", None)
    if width is None:
        sample_needed(description)
    return {INPUT: np.random.default_rng(0).standard_normal((1, width)).astype(np.float32)}


def _features(array: Array) -> Array:
    if array.ndim != 2:
        raise BuildFailed(
            f"the sample has shape {list(array.shape)}; scikit-learn takes n × features: save array.reshape(1, -1)"
        )
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind in "biu":
        return array.astype(np.int64)
    raise BuildFailed(f"the sample holds {array.dtype}; numbers are needed")


def _as_rows(result: Any) -> Array:
    array: Array = np.asarray(result.toarray() if hasattr(result, "toarray") else result)
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
        return array[:, None] if array.ndim == 1 else array
    return array.astype(np.int64)


def _is_clusterer(estimator: Any) -> bool:
    from sklearn.base import is_clusterer, is_outlier_detector

    return bool(is_clusterer(estimator) or is_outlier_detector(estimator))


def _class_name(estimator: Any) -> str:
    steps = getattr(estimator, "steps", None)
    if steps:
        return " → ".join(type(step).__name__ for _, step in steps)
    return type(estimator).__name__
