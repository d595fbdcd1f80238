"""scikit-learn in this process: the estimator itself, called as its users call it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import sklearn
from threadpoolctl import threadpool_limits

from gateway.core.signatures import Signature
from model_store.engines import CPU, Array
from model_store.exporters.forms import ESTIMATOR
from model_store.originals import Original
from model_store.sources.sklearn import INPUT, LABEL, PREDICTION, PROBABILITIES, SCORES, TRANSFORMED

METHODS = {
    LABEL: "predict",
    PREDICTION: "predict",
    PROBABILITIES: "predict_proba",
    SCORES: "decision_function",
    TRANSFORMED: "transform",
}


class SklearnOriginal:
    """A fitted estimator.

    Args:
        folder: where ``remake`` left it.
        original: what was found out about it.
        signature: of the model.
        threads: CPU threads that one call may use.
    """

    kind = "scikit-learn"
    device = CPU
    version: str = sklearn.__version__

    def __init__(self, folder: Path, original: Original, signature: Signature, threads: int) -> None:
        self._estimator, outputs = joblib.load(folder / ESTIMATOR)
        _limit_threads(self._estimator, threads)
        self._label_from_scores = original.label_from_scores
        self._calls = {
            name: getattr(self._estimator, METHODS[name])
            for name in outputs
            if not (name == LABEL and original.label_from_scores)
        }
        self._floats = {spec.name for spec in signature.outputs if spec.datatype.value.startswith("FP")}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name for all inputs by name."""
        features = inputs[INPUT]
        answers = {name: self._array(name, call(features)) for name, call in self._calls.items()}
        if self._label_from_scores:
            best = np.argmax(answers[PROBABILITIES], axis=1)
            answers[LABEL] = self._estimator.classes_.take(best)
        return answers

    def _array(self, name: str, answer: Any) -> Array:
        """``answer`` as the other engines give it."""
        array: Array = np.asarray(answer)
        if name not in self._floats:
            if array.dtype.kind in "OSU":  # text is not carried by every server: its place among the labels is
                array = np.searchsorted(self._estimator.classes_, array)
            return array.astype(np.int64, copy=False)
        array = array.astype(np.float32, copy=False)
        return array[:, None] if array.ndim == 1 else array


def _limit_threads(estimator: Any, threads: int) -> None:
    """Limit both ways in which estimators use several cores: their own jobs, and the libraries of linear algebra."""
    jobs = {name: threads for name in estimator.get_params(deep=True) if name.rpartition("__")[2] == "n_jobs"}
    estimator.set_params(**jobs)
    threadpool_limits(threads)
