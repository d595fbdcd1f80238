"""Any server of the Open Inference Protocol: ONNX Runtime behind ``gateway serve``, Triton, MLServer, KServe."""

from __future__ import annotations

import asyncio
import contextlib
from enum import Enum, auto

from gateway.backends.oip_description import description, oldest_first
from gateway.backends.oip_transport import OIPTransport
from gateway.core.backend import Backend, ModelDescription
from gateway.core.errors import ConnectFailed, ConnectionLost, GatewayError, ModelNotFound, Unavailable, Unsupported
from gateway.core.messages import InferRequest, InferResponse


class _Not(Enum):
    """Why a version that a server lists is left out."""

    THERE = auto()
    READY = auto()


class OIPBackend(Backend):
    """One server behind ``transport``; what it can carry and how it numbers its versions is learned from it."""

    kind = "oip"

    def __init__(self, name: str, transport: OIPTransport) -> None:
        self.name = name
        self._transport = transport
        self._met = False

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        return await self._transport.infer(request)

    async def check(self, model: str, version: str) -> None:
        await self._meet()
        try:
            await self._transport.check(model, version)
        except Unavailable:
            self._met = False  # what comes back may be another server
            raise

    async def close(self) -> None:
        await self._transport.close()

    async def list_models(self) -> list[str]:
        await self._meet()
        return await self._transport.models(loaded=True)

    async def describe(self, model: str) -> ModelDescription:
        await self._meet()
        latest = await self._transport.metadata(model, "")
        found = await asyncio.gather(*(self._describe(model, each) for each in oldest_first(latest.versions)))
        described = [each for each in found if isinstance(each, ModelDescription)]
        if not described and _Not.READY in found:
            # Its versions are known all the same: this is no server without versions.
            raise Unavailable(f"backend {self.name!r}: no version of model {model!r} is ready")
        if not described:
            return description(self.name, "", latest, await self._transport.config(model, ""))
        *older, newest = described
        return ModelDescription(
            version=newest.version,
            platform=newest.platform,
            signature=newest.signature,
            max_batch_size=newest.max_batch_size,
            older=tuple(older),
        )

    async def load(self, model: str, version: str) -> None:  # noqa: ARG002 - the protocol loads by name
        with contextlib.suppress(Unsupported):  # not every server with model control has an index
            if model not in await self._transport.models(loaded=False):
                # Told before it is tried: Triton fails on an unknown model in the same words as on a broken one.
                raise ModelNotFound(f"backend {self.name!r} has no model {model!r} in its repository")
        await self._transport.load(model)

    async def unload(self, model: str, version: str) -> None:  # noqa: ARG002
        await self._transport.unload(model)

    async def _describe(self, model: str, version: str) -> ModelDescription | _Not:
        try:
            metadata = await self._transport.metadata(model, version)
        except (ModelNotFound, Unsupported):
            # MLServer lists versions that it supports but may not have.
            return _Not.THERE
        try:
            await self._transport.check(model, version)
        except (ConnectFailed, ConnectionLost):
            raise
        except Unavailable:
            return _Not.READY
        return description(self.name, version, metadata, await self._transport.config(model, version))

    async def _meet(self) -> None:
        if self._met:
            return
        with contextlib.suppress(GatewayError):  # whatever is wrong, the call that follows says it
            self.capabilities = await self._transport.meet()
            self._met = True
