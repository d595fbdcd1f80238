"""An inference engine in this process: behind a front door it is a model server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from gateway.core.errors import BackendError
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.tensors import Tensor

_log = structlog.get_logger()


class Engine(Protocol):
    """A loaded model; ``run`` is synchronous and may be called from several threads at once."""

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]: ...


class EmbeddedBackend:
    """Runs engines, by model name, in ``instances`` threads, so that the event loop stays free."""

    kind = "embedded"

    def __init__(self, name: str, engines: Mapping[str, Engine], *, instances: int) -> None:
        self.name = name
        self._engines = dict(engines)
        self._pool = ThreadPoolExecutor(instances, thread_name_prefix=f"engine-{name}")

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        engine = self._engines[request.model]
        inputs = {tensor.name: tensor.to_numpy() for tensor in request.inputs}
        loop = asyncio.get_running_loop()
        try:
            outputs = await loop.run_in_executor(self._pool, engine.run, inputs)
        except Exception as error:
            # A framework's message may hold paths and addresses: it goes into our log and not to the client.
            _log.error("engine failed", backend=self.name, model=request.model, error=str(error)[:2000])
            raise BackendError(f"backend {self.name!r}: the engine failed on this request") from None
        return InferResponse(
            request.model,
            request.version,
            tuple(Tensor.from_numpy(name, np.asarray(array)) for name, array in outputs.items()),
        )

    async def check(self, model: str) -> None:
        """Return at once: a loaded engine is ready."""

    async def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
