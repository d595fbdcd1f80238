"""A model's declared preprocessing as the data plane needs it: off the event loop, with the gateway's errors."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

import structlog

from gateway.core.errors import InvalidRequest
from gateway.core.preparation import Prepare
from gateway.core.tensors import Tensor
from model_store.errors import InvalidInput, MissingPackage
from model_store.processing.processor import Processor
from model_store.store import StoredModel

_log = structlog.get_logger()


def preparation(model: StoredModel, pool: Executor) -> Prepare | None:
    """What makes ``model``'s inputs of pictures or texts; None when it takes tensors only.

    Raises:
        StoreError: a file that the preprocessing needs is missing or damaged.
    """
    processor = Processor(model.directory, model.manifest)
    if processor.takes == "tensors":
        return None
    try:
        processor.load()
    except MissingPackage as error:
        # The model can be served all the same, to clients that prepare its tensors themselves.
        _log.warning("only tensors are taken", model=model.manifest.name, reason=str(error))
        return None

    def make_inputs(elements: Sequence[bytes]) -> tuple[Tensor, ...]:
        try:
            arrays = processor.from_raw(elements)
        except InvalidInput as error:
            raise InvalidRequest(str(error)) from None
        return tuple(Tensor.from_numpy(name, array) for name, array in arrays.items())

    async def prepare(elements: Sequence[bytes], /) -> tuple[Tensor, ...]:
        return await asyncio.get_running_loop().run_in_executor(pool, make_inputs, elements)

    return prepare
