"""What a backend can carry: a request that it cannot is refused before it is sent, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.core.datatypes import Datatype
from gateway.core.errors import PayloadTooLarge, Unsupported
from gateway.core.messages import InferRequest


@dataclass(slots=True, frozen=True)
class Capabilities:
    """Limits of one backend.

    Attributes:
        refused: why, for each datatype that its protocol cannot carry.
        request_bytes: the largest sum of a request's tensors in bytes; 0 means no limit.
        max_rank: the largest number of dimensions of a tensor.
    """

    refused: Mapping[Datatype, str] = field(default_factory=dict)
    request_bytes: int = 0
    max_rank: int = 255

    def check(self, backend: str, request: InferRequest) -> None:
        """Return when ``backend`` can carry ``request``.

        Raises:
            Unsupported: a datatype or a rank is beyond it; names the input and the reason.
            PayloadTooLarge: the tensors together are over its limit.
        """
        for tensor in request.inputs:
            if tensor.datatype in self.refused:
                raise Unsupported(
                    f"inputs[{tensor.name!r}]: backend {backend!r} cannot carry {tensor.datatype}: "
                    f"{self.refused[tensor.datatype]}"
                )
            if len(tensor.shape) > self.max_rank:
                raise Unsupported(
                    f"inputs[{tensor.name!r}]: backend {backend!r} takes at most {self.max_rank} dimensions, "
                    f"got {len(tensor.shape)}"
                )
        if self.request_bytes and (size := sum(tensor.nbytes for tensor in request.inputs)) > self.request_bytes:
            raise PayloadTooLarge(
                f"inputs: {size} bytes are over the {self.request_bytes} that backend {backend!r} takes"
            )


EVERYTHING = Capabilities()
