"""A model's declared pre- and postprocessing as the data plane needs it: with the gateway's types and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import structlog

from gateway.core.errors import InvalidRequest
from gateway.core.padding import Padding
from gateway.core.preparation import Classify, Prepare
from gateway.core.tensors import Tensor
from model_store.errors import InvalidInput, MissingPackage
from model_store.processing.processor import Processor
from model_store.processing.steps import TopK

_log = structlog.get_logger()


def classification(processor: Processor) -> Classify | None:
    """What makes classes of the outputs of ``processor``'s model; None when its manifest does not ask for them."""
    if not any(isinstance(step, TopK) for step in processor.manifest.postprocessing):
        return None

    def classify(outputs: Sequence[Tensor], /) -> list[Mapping[str, float]]:
        rows = processor.top_classes({output.name: output.to_numpy() for output in outputs})
        return [{found.label: found.probability for found in row} for row in rows]

    return classify


def padding(processor: Processor) -> Padding | None:
    """How rows of several lengths may be joined for ``processor``'s model; None where its manifest does not allow it.

    One with a tokenizer takes texts of several lengths side by side, and is told by the mask which tokens are none. But
    an output as long as the text would have to be cut, and nobody says where.

    Raises:
        StoreError: the tokenizer is missing or damaged.
    """
    signature = processor.manifest.model_signature()
    if any(size < 0 for output in signature.outputs for size in output.shape[1:]):
        return None
    try:
        fills, left = processor.fills()
    except MissingPackage:
        return None  # ``preparation`` tells
    return Padding(fills, left) if fills.keys() == {spec.name for spec in signature.inputs} else None


def preparation(processor: Processor, pool: Executor) -> Prepare | None:
    """What makes the inputs of ``processor``'s model of pictures or texts; None when it takes tensors only.

    Raises:
        StoreError: a file that the preprocessing needs is missing or damaged.
    """
    if processor.takes == "tensors":
        return None
    try:
        processor.load()
    except MissingPackage as error:
        # The model can be served all the same, to clients that prepare its tensors themselves.
        _log.warning("only tensors are taken", model=processor.manifest.name, reason=str(error))
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
