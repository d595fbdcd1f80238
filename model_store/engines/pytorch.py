"""What TorchServe runs, in this process: the model in the archive, loaded by the handler's own code."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.core.signatures import Signature
from model_store.engines import Array, Settings
from model_store.engines.archive import models_in, unpack
from model_store.oip_handler.runtime import GRAPH, LIBRARY, Runtime, open_runtime
from model_store.oip_handler.wire import Spec


class PytorchEngine:
    """A PyTorch program, or the ONNX graph of a model that has none."""

    kind = "pytorch"
    choices: Mapping[str, tuple[bool | int | str, ...]] = {
        "mode": ("eager", "channels-last", "aot"),
        "optimization": ("all", "basic"),
    }

    def __init__(self, runtime: Runtime, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._runtime = runtime
        self._inputs = inputs
        self._outputs = outputs
        self.version = runtime.version
        self.device = runtime.device

    @classmethod
    def candidates(cls, artifact: Path) -> Sequence[Settings]:
        """As in ``EngineClass``."""
        found = models_in(artifact)
        if GRAPH in found:
            return ({}, {"optimization": "basic"})
        compiled: Sequence[Settings] = [{"mode": "aot"}] if LIBRARY in found else []
        return ({}, {"mode": "channels-last"}, *compiled)

    @classmethod
    def load(
        cls, artifact: Path, *, signature: Signature, device: str, threads: int, settings: Settings
    ) -> PytorchEngine:
        """Load the model out of a ``.mar``; arguments and errors as in ``open_engine``."""
        inputs, outputs = (
            [Spec(spec.name, spec.datatype.value, spec.shape) for spec in specs]
            for specs in (signature.inputs, signature.outputs)
        )
        with tempfile.TemporaryDirectory() as folder:
            unpack(artifact, Path(folder))
            runtime = open_runtime(Path(folder), inputs, outputs, settings=settings, device=device, threads=threads)
        return cls(runtime, [spec.name for spec in inputs], [spec.name for spec in outputs])

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name for all inputs by name."""
        results = self._runtime.run([inputs[name] for name in self._inputs])
        return dict(zip(self._outputs, results, strict=True))
