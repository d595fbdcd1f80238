"""An ONNX graph in ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .device import NoSuchDevice, gpu_number, resolve_device

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at the import: newer versions report home by default

import onnxruntime

Array = npt.NDArray[Any]

_LEVELS = {
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    # A transformer's fused operators can be slower than the plain ones (5 % with MiniLM); convolutions never are.
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
}


class GraphRuntime:
    """An ``InferenceSession``, which is thread-safe by itself."""

    framework = "ONNX Runtime"
    version: str = onnxruntime.__version__

    def __init__(self, session: Any, inputs: Sequence[str], outputs: Sequence[str], device: str) -> None:
        self._session = session
        self._inputs = inputs
        self._outputs = outputs
        self.device = device

    @classmethod
    def load(
        cls,
        path: Path,
        inputs: Sequence[str],
        outputs: Sequence[str],
        *,
        settings: Mapping[str, Any],
        device: str,
        threads: int,
        gpu: int = 0,
    ) -> GraphRuntime:
        """Open the graph in ``path``; arguments as in ``open_runtime``."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = _LEVELS[settings.get("optimization", "all")]
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads wait awake within a run (sleeping costs a quarter more time), but not between runs: the cores belong
        # to others then, and one idle session that waits awake makes its neighbour three times slower.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 3  # its warnings go to stderr, past any log
        device = resolve_device(device, _gpus(), cls.framework, gpu)
        number = gpu_number(device)
        providers: list[Any] = ["CPUExecutionProvider"]
        if number is not None:
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": number}))
        session = onnxruntime.InferenceSession(path, options, providers=providers)
        # A CUDA provider that cannot start is skipped with a mere log line; a user who asked for it must know.
        if number is not None and "CUDAExecutionProvider" not in session.get_providers():
            raise NoSuchDevice(f"ONNX Runtime could not start on {device}: its CUDA libraries do not load here")
        return cls(session, inputs, outputs, device)

    def run(self, arrays: Sequence[Array]) -> list[Array]:
        """All outputs in order for all inputs in order."""
        results: list[np.ndarray[Any, Any]] = self._session.run(
            self._outputs, dict(zip(self._inputs, arrays, strict=True))
        )
        return results


def _gpus() -> int:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return 0
    # The provider is listed wherever the GPU build is installed: only the driver's device nodes tell of GPUs.
    return len([*Path("/dev").glob("nvidia[0-9]*")])
