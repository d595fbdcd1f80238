"""ONNX Runtime in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from gateway.core.datatypes import Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.engines import Array, Settings
from model_store.oip_handler.graph import GraphRuntime


class OnnxruntimeEngine:
    """The graph, in a session as the TorchServe handler makes one too."""

    kind = "onnxruntime"
    choices: Mapping[str, tuple[bool | int | str, ...]] = {"optimization": ("all", "basic")}

    def __init__(self, runtime: GraphRuntime, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> None:
        self._runtime = runtime
        self._inputs = [spec.name for spec in inputs]
        self._outputs = outputs
        self._texts = {spec.name for spec in inputs if spec.datatype is Datatype.BYTES}
        self.version = runtime.version
        self.device = runtime.device

    @classmethod
    def candidates(cls, artifact: Path) -> Sequence[Settings]:  # noqa: ARG003  all engines are asked alike
        """As in ``EngineClass``."""
        return ({}, {"optimization": "basic"})

    @classmethod
    def load(
        cls, artifact: Path, *, signature: Signature, device: str, threads: int, settings: Settings
    ) -> OnnxruntimeEngine:
        """Open ``model.onnx``; arguments and errors as in ``open_engine``."""
        inputs = [spec.name for spec in signature.inputs]
        outputs = [spec.name for spec in signature.outputs]
        runtime = GraphRuntime.load(artifact, inputs, outputs, settings=settings, device=device, threads=threads)
        return cls(runtime, signature.inputs, outputs)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name for all inputs by name."""
        if self._texts:
            inputs = {name: _as_text(array) if name in self._texts else array for name, array in inputs.items()}
        results = self._runtime.run([inputs[name] for name in self._inputs])
        return dict(zip(self._outputs, results, strict=True))


def _as_text(array: Array) -> Array:
    # The session would take bytes as well, and make "b'text'" of them.
    texts = np.empty(array.shape, object)
    texts.ravel()[:] = [each.decode() if isinstance(each, bytes) else each for each in array.ravel().tolist()]
    return texts
