"""TensorFlow in this process."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature
from model_store.engines import CPU, Array, Settings
from model_store.errors import EngineError
from model_store.oip_handler.device import gpu_number, resolve_device

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before the import: its start-up notes are not errors

import tensorflow as tf

SIGNATURE = "serving_default"


class TensorflowEngine:
    """A graph in a session, as TensorFlow Serving holds it.

    The session's callable costs half of what calling the eager signature function costs (120 against 250 µs
    for a small net), and it takes and gives numpy arrays as they are.
    """

    kind = "tensorflow"
    # XLA is none of them: it loses everywhere we measured (up to nineteenfold on depthwise convolutions), and each
    # new batch size costs seconds.
    choices: Mapping[str, tuple[bool | int | str, ...]] = {"executor": ("default", "single-threaded")}

    def __init__(
        self, call: Any, inputs: list[str], outputs: list[str], device: str, halves: Collection[str] = ()
    ) -> None:
        self._call = call
        self._halves = halves
        self._inputs = inputs
        self._outputs = outputs
        self.version: str = tf.__version__
        self.device = device

    @classmethod
    def candidates(cls, artifact: Path) -> Sequence[Settings]:  # noqa: ARG003  all engines are asked alike
        """As in ``EngineClass``."""
        # Saves a small net a few percent of its time; some graphs with loops refuse it.
        return ({}, {"executor": "single-threaded"})

    @classmethod
    def load(
        cls, artifact: Path, *, signature: Signature, device: str, threads: int, settings: Settings
    ) -> TensorflowEngine:
        """Load the newest version under a TensorFlow Serving base path; arguments and errors as in ``open_engine``.

        TensorFlow keeps one pool of CPU threads a process: the first engine's ``threads`` sets its size.
        """
        gpus = 0 if device == CPU else len(tf.config.list_physical_devices("GPU"))
        device = resolve_device(device, gpus, "TensorFlow")
        graph = tf.Graph()
        with graph.as_default():
            session = tf.compat.v1.Session(graph=graph, config=_session_config(device, threads, settings))
            entry = _load_signature(session, newest_version(artifact))
        inputs = [spec.name for spec in signature.inputs]
        outputs = [spec.name for spec in signature.outputs]
        if set(entry.inputs) != set(inputs) or set(entry.outputs) != set(outputs):
            raise EngineError(
                f"{artifact}: its signature takes {sorted(entry.inputs)} and gives {sorted(entry.outputs)}, "
                f"the model's takes {inputs} and gives {outputs}"
            )
        fetches = [entry.outputs[name].name for name in outputs]
        feeds = [entry.inputs[name].name for name in inputs]
        halves = {spec.name for spec in (*signature.inputs, *signature.outputs) if spec.datatype is Datatype.BF16}
        return cls(session.make_callable(fetches, feeds), inputs, outputs, device, halves)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name for all inputs by name."""
        if self._halves:
            inputs = self._viewed(inputs, tf.bfloat16.as_numpy_dtype)
        results = dict(zip(self._outputs, self._call(*(inputs[name] for name in self._inputs)), strict=True))
        return self._viewed(results, np.uint16) if self._halves else results

    def _viewed(self, arrays: Mapping[str, Array], halves: Any) -> dict[str, Array]:
        return {name: array.view(halves) if name in self._halves else array for name, array in arrays.items()}


def newest_version(base: Path) -> Path:
    """The version TensorFlow Serving would pick under ``base``: the folder with the largest number.

    Raises:
        EngineError: there is none.
    """
    versions = [path for path in base.iterdir() if path.name.isdecimal()] if base.is_dir() else []
    if not versions:
        raise EngineError(f"{base} holds no numbered version folder with a SavedModel")
    return max(versions, key=lambda path: int(path.name))


def _load_signature(session: Any, directory: Path) -> Any:
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # the loader calls itself deprecated; sessions have no other
    try:
        return tf.compat.v1.saved_model.load(session, ["serve"], str(directory)).signature_def[SIGNATURE]
    finally:
        logger.setLevel(level)


def _session_config(device: str, threads: int, settings: Settings) -> Any:
    config = tf.compat.v1.ConfigProto(
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=-1,  # operators run in the caller's thread: no hand-over at each step
    )
    if settings.get("executor") == "single-threaded":
        config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
    gpu = gpu_number(device)
    if gpu is None:
        config.device_count["GPU"] = 0
    else:
        config.gpu_options.visible_device_list = str(gpu)
        config.gpu_options.allow_growth = True  # others share the GPU
    return config
