"""ONNX Runtime in this process."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.core.signatures import Signature
from model_store.engines import Array, gpu_number, resolve_device
from model_store.errors import EngineError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at the import: newer versions report home by default

import onnxruntime


class OnnxruntimeEngine:
    """An ``InferenceSession``, which is thread-safe by itself."""

    kind = "onnxruntime"

    def __init__(self, session: Any, outputs: Sequence[str], device: str) -> None:
        self._session = session
        self._outputs = list(outputs)
        self.version: str = onnxruntime.__version__
        self.device = device

    @classmethod
    def load(cls, artifact: Path, *, signature: Signature, device: str, threads: int) -> OnnxruntimeEngine:
        """Open ``model.onnx``; arguments and errors as in ``open_engine``."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # its warnings go to stderr, past any log
        device = resolve_device(device, _gpus(), "ONNX Runtime")
        gpu = gpu_number(device)
        providers: list[Any] = ["CPUExecutionProvider"]
        if gpu is not None:
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": gpu}))
        session = onnxruntime.InferenceSession(artifact, options, providers=providers)
        # A CUDA provider that cannot start is skipped with a mere log line; a user who asked for it must know.
        if gpu is not None and "CUDAExecutionProvider" not in session.get_providers():
            raise EngineError(f"ONNX Runtime could not start on {device}: its CUDA libraries do not load here")
        return cls(session, [spec.name for spec in signature.outputs], device)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs by name for all inputs by name."""
        results: list[np.ndarray[Any, Any]] = self._session.run(self._outputs, inputs)
        return dict(zip(self._outputs, results, strict=True))


def _gpus() -> int:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return 0
    # The provider is listed wherever the GPU build is installed: only the driver's device nodes tell of GPUs.
    return len([*Path("/dev").glob("nvidia[0-9]*")])
