"""Keras in this process: the original on its TensorFlow backend, called as its users call it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before the import: its start-up notes are not errors

import keras
import tensorflow as tf

from gateway.core.signatures import Signature
from model_store.engines import CPU, Array
from model_store.exporters.forms import KERAS
from model_store.originals import Original
from model_store.sources.keras import load_keras


class KerasOriginal:
    """A Keras model through ``predict_on_batch``, which compiles it at the first call.

    Calling the model is Keras' advice for small batches, and costs ten times as much: it is not compiled.

    Args:
        folder: where ``remake`` left it.
        original: what was found out about it.
        signature: of the model.
        threads: CPU threads that one call may use.
    """

    kind = "keras"
    device = CPU
    version: str = keras.__version__

    def __init__(self, folder: Path, original: Original, signature: Signature, threads: int) -> None:  # noqa: ARG002  all originals are opened alike
        tf.config.set_visible_devices([], "GPU")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._call = load_keras(folder / KERAS, trust=False).predict_on_batch
        self._inputs = [spec.name for spec in signature.inputs]
        self._outputs = [spec.name for spec in signature.outputs]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name for all inputs by name."""
        answer = self._call(inputs[self._inputs[0]] if len(self._inputs) == 1 else dict(inputs))
        return dict(zip(self._outputs, _flat(answer), strict=True))


def _flat(answer: Any) -> list[Array]:
    if isinstance(answer, Mapping):
        return [*answer.values()]
    return [*answer] if isinstance(answer, list | tuple) else [answer]
