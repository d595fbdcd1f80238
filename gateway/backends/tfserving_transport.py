"""What TensorFlow Serving offers over gRPC and over REST alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.codecs.tfs_metadata import Learned
from gateway.codecs.tfs_status import VersionStatus
from gateway.core.capabilities import Capabilities
from gateway.core.messages import InferRequest, InferResponse


class TFServingTransport(Protocol):
    """The protocol's calls; all raise the gateway's errors, ModelNotFound among them.

    ``version`` is decimal, or empty for the latest (of ``status``: for all).

    An ``INVALID_ARGUMENT`` of the server becomes RequestRefused. The signatures are advisory: the server does not hold
    requests to the shapes that a model declares, and clients rely on it.

    Attributes:
        capabilities: what the protocol can carry.
    """

    capabilities: Capabilities

    async def infer(self, request: InferRequest) -> InferResponse: ...

    async def status(self, model: str, version: str) -> list[VersionStatus]:
        """The state of one version, or of all, oldest first."""

    async def signatures(self, model: str, version: str) -> Mapping[str, Learned]:
        """The model's signatures by name; for one that cannot be served here, why."""

    async def close(self) -> None: ...
