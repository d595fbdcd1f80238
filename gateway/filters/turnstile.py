"""Turn away what would wait to be admitted in vain, before anything is done for it."""

from __future__ import annotations

import asyncio

from gateway.core.criticality import criticality_of
from gateway.core.gate import Gate
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service
from gateway.core.unread import UnreadRequest


class Turnstile(Filter):
    """Stands far before ``gate``, which lets in what passes here.

    In an overload most requests are refused, and each one that was tokenized or decoded before takes time from those
    that are not.
    """

    __slots__ = ("_gate",)

    def __init__(self, inner: Service, gate: Gate) -> None:
        super().__init__(inner)
        self._gate = gate

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        gate = self._gate
        if gate.waiting or isinstance(request, UnreadRequest):
            criticality = criticality_of(request.context)
            if isinstance(request, UnreadRequest) or gate.hopeless(request.context, criticality):
                await asyncio.sleep(gate.patience)  # a client that asks again as soon as it is refused must not spin
                raise gate.refusal(criticality)
        return await self.inner(request)
