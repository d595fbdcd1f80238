"""What the Open Inference Protocol offers over HTTP and over gRPC alike."""

from __future__ import annotations

from typing import Protocol

from gateway.backends.oip_description import ModelConfig, ModelMetadata
from gateway.core.capabilities import Capabilities
from gateway.core.messages import InferRequest, InferResponse


class OIPTransport(Protocol):
    """The protocol's calls; all raise the gateway's errors, ModelNotFound and Unsupported among them.

    ``version`` is empty to leave the choice to the server.
    """

    async def meet(self) -> Capabilities:
        """Ask the server what it can carry."""

    async def infer(self, request: InferRequest) -> InferResponse: ...

    async def check(self, model: str, version: str) -> None:
        """Return when the model is ready; raises Unavailable when it is not."""

    async def metadata(self, model: str, version: str) -> ModelMetadata: ...

    async def config(self, model: str, version: str) -> ModelConfig:
        """The model's configuration; the defaults where the server has none."""

    async def models(self, *, loaded: bool) -> list[str]:
        """Names of the models in the server's repository, or of those that are loaded or being loaded."""

    async def load(self, model: str) -> None: ...

    async def unload(self, model: str) -> None: ...

    async def close(self) -> None: ...
