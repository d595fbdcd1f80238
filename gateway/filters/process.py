"""Take pictures and texts for models whose preprocessing is declared, and hand on the tensors made of them."""

from __future__ import annotations

from dataclasses import replace

from gateway.core.datatypes import Datatype
from gateway.core.errors import InvalidRequest
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.preparation import Prepare
from gateway.core.service import Filter, Service
from gateway.core.signatures import Signature
from gateway.core.tensors import Tensor, split_bytes


class Process(Filter):
    """Requests whose only input is BYTES under a name that the model does not have; all others pass untouched."""

    __slots__ = ("_max_batch_size", "_names", "_prepare")

    def __init__(self, inner: Service, prepare: Prepare, signature: Signature, max_batch_size: int) -> None:
        super().__init__(inner)
        self._prepare = prepare
        self._names = frozenset(spec.name for spec in signature.inputs)
        self._max_batch_size = max(max_batch_size, 1)

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        if len(request.inputs) == 1:
            (raw,) = request.inputs
            if raw.datatype is Datatype.BYTES and raw.name not in self._names:
                request = replace(request, inputs=await self._tensors(raw))
        return await self.inner(request)

    async def _tensors(self, raw: Tensor) -> tuple[Tensor, ...]:
        field = f"inputs[{raw.name!r}]"
        if not raw.shape or raw.shape[0] == 0 or raw.shape[1:] not in ((), (1,)):
            raise InvalidRequest(f"{field}: shape [n] or [n, 1] is expected for raw elements, got {list(raw.shape)}")
        # Before the costly part: a small body can hold many pictures, and each can be large once it is decoded.
        if raw.shape[0] > self._max_batch_size:
            raise InvalidRequest(
                f"{field}: batch size {raw.shape[0]} is over the model's maximum of {self._max_batch_size}"
            )
        elements = split_bytes(raw.data, field)
        try:
            return await self._prepare(elements)
        except InvalidRequest as error:
            raise InvalidRequest(f"{field}: {error.message}") from None
