"""An inference engine in this process: behind a front door it is a model server."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from gateway.backends.engine_queue import EngineQueue
from gateway.core.backend import Backend
from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import BackendError, GatewayError, Unavailable
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.signatures import Signature
from gateway.core.tensors import Tensor

_log = structlog.get_logger()

Arrays = dict[str, npt.NDArray[Any]]
# A run that is expected to be shorter than this stays on the event loop: to wake a thread and be woken by it takes
# about as long (100 to 200 µs on a virtual machine), and the loop has nothing better to do meanwhile.
INLINE_SECONDS = 200e-6
_TIMED_RUNS = 5


class Engine(Protocol):
    """A loaded model; ``run`` is synchronous and may be called from several threads at once."""

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays: ...


class EmbeddedModel:
    """An engine with the model's signature, warmed up and timed."""

    def __init__(self, engine: Engine, signature: Signature) -> None:
        self.run = engine.run
        self._datatypes = {spec.name: spec.datatype for spec in signature.outputs}
        self._seconds_per_row = _time_one_row(engine, signature)

    def tensor(self, name: str, array: npt.NDArray[Any]) -> Tensor:
        """The output ``name``; a BF16 one is an array of bit patterns."""
        tensor = Tensor.from_numpy(name, array)
        is_half = self._datatypes.get(name) is Datatype.BF16 and tensor.datatype is Datatype.UINT16
        return replace(tensor, datatype=Datatype.BF16) if is_half else tensor

    def is_quick(self, rows: int) -> bool:
        """Whether a run of ``rows`` is expected to take less than INLINE_SECONDS."""
        return self._seconds_per_row * rows < INLINE_SECONDS


def _time_one_row(engine: Engine, signature: Signature) -> float:
    """Seconds for a batch of one, after a warm-up; infinite when another free dimension makes any time a guess."""
    inputs: Arrays = {}
    for spec in signature.inputs:
        if not signature.batched or -1 in spec.shape[1:] or spec.datatype not in NUMPY_DTYPE:
            return math.inf
        inputs[spec.name] = np.zeros((1, *spec.shape[1:]), NUMPY_DTYPE[spec.datatype])
    times = []
    for _ in range(_TIMED_RUNS):
        started = time.perf_counter()
        engine.run(inputs)
        times.append(time.perf_counter() - started)
    return min(times)  # the least disturbed run


class EmbeddedBackend(Backend):
    """Runs engines, by model and version: slow ones in ``instances`` threads, so that the event loop stays free.

    At most ``queue_size`` requests wait for one of the threads, the most urgent in front; see ``EngineQueue``.
    ``open_model`` makes one engine ready and may take long; ``capabilities`` are the engine's.

    Attributes:
        queue: where requests wait for a thread.
    """

    kind = "embedded"

    def __init__(
        self,
        name: str,
        open_model: Callable[[str, str], EmbeddedModel],
        *,
        instances: int,
        queue_size: int = 1000,
        capabilities: Capabilities = EVERYTHING,
    ) -> None:
        self.name = name
        self.capabilities = capabilities
        self._open = open_model
        self._models: dict[tuple[str, str], EmbeddedModel] = {}
        self.queue = EngineQueue(name, slots=instances, capacity=queue_size)

    def open(self, model: str, version: str) -> None:
        """Make ``model`` ready, before the event loop runs; raises what the engine and the store raise."""
        self._models[model, version] = self._open(model, version)

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        model = self._models.get((request.model, request.version))
        if model is None:
            raise Unavailable(f"backend {self.name!r}: model {request.model!r} is not loaded")
        inputs = {tensor.name: _aligned(tensor.to_numpy()) for tensor in request.inputs}
        rows = request.inputs[0].shape[0] if request.inputs[0].shape else 1
        try:
            if model.is_quick(rows):
                outputs = model.run(inputs)
            else:
                outputs = await self.queue.run(request.context, partial(model.run, inputs))
        except GatewayError:
            raise
        except Exception as error:
            # A framework's message may hold paths and addresses: it goes into our log and not to the client.
            _log.error("engine failed", backend=self.name, model=request.model, error=str(error)[:2000])
            raise BackendError(f"backend {self.name!r}: the engine failed on this request") from None
        return InferResponse(
            request.model,
            request.version,
            tuple(model.tensor(name, np.asarray(array)) for name, array in outputs.items()),
        )

    async def check(self, model: str, version: str) -> None:
        if (model, version) not in self._models:
            raise Unavailable("not loaded")

    async def load(self, model: str, version: str) -> None:
        # The engine that answers now stays until the new one is ready.
        try:
            self._models[model, version] = await asyncio.to_thread(self._open, model, version)
        except Exception as error:
            _log.error("engine does not load", backend=self.name, model=model, error=str(error)[:2000])
            raise BackendError(f"backend {self.name!r}: the engine does not load model {model!r}") from None

    async def unload(self, model: str, version: str) -> None:
        self._models.pop((model, version), None)

    async def close(self) -> None:
        self.queue.close()


def _aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # A tensor in a binary body starts wherever its header ended; engines are twice as slow on odd addresses.
    return array if array.flags.aligned else array.copy()
