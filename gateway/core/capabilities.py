"""What a backend can carry: a request that it cannot is refused before it is sent, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gateway.core.datatypes import Datatype
from gateway.core.errors import PayloadTooLarge, Unsupported
from gateway.core.messages import InferRequest
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, split_bytes

_FLOATS = (Datatype.FP16, Datatype.FP32, Datatype.FP64)


@dataclass(slots=True, frozen=True)
class Capabilities:
    """Limits of one backend.

    Attributes:
        refused: why, for each datatype that it cannot carry.
        text_only: why BYTES elements must be UTF-8 text; empty when they need not.
        finite_only: why floating-point numbers must be finite; empty when they need not.
        one_nan: why no NaN may differ from the usual one in its bits; empty when they may.
        request_bytes: the largest sum of a request's tensors in bytes; 0 means no limit.
        max_rank: the largest number of dimensions of a tensor.
    """

    refused: Mapping[Datatype, str] = field(default_factory=dict)
    text_only: str = ""
    finite_only: str = ""
    one_nan: str = ""
    request_bytes: int = 0
    max_rank: int = 255

    def refusal(self, signature: Signature) -> str:
        """Why no request for a model of ``signature`` can be carried; empty when some can."""
        return self._refusal("inputs", signature.inputs) or self._refusal("outputs", signature.outputs)

    def _refusal(self, side: str, specs: Iterable[TensorSpec]) -> str:
        for spec in specs:
            if spec.datatype in self.refused:
                return f"{side}[{spec.name!r}] is {spec.datatype}: {self.refused[spec.datatype]}"
            if len(spec.shape) > self.max_rank:
                return f"{side}[{spec.name!r}] has {len(spec.shape)} dimensions, over the limit of {self.max_rank}"
        return ""

    def check(self, backend: str, request: InferRequest) -> None:
        """Return when ``backend`` can carry ``request``.

        Raises:
            Unsupported: a datatype, a rank or an element is beyond it; names the input and the reason.
            PayloadTooLarge: the tensors together are over its limit.
        """
        for tensor in request.inputs:
            if tensor.datatype in self.refused:
                raise _unsupported(tensor, backend, f"cannot carry {tensor.datatype}", self.refused[tensor.datatype])
            if len(tensor.shape) > self.max_rank:
                raise Unsupported(
                    f"inputs[{tensor.name!r}]: backend {backend!r} takes at most {self.max_rank} dimensions, "
                    f"got {len(tensor.shape)}"
                )
            if self.text_only and tensor.datatype is Datatype.BYTES and not _is_text(tensor):
                raise _unsupported(tensor, backend, "cannot carry BYTES that are not UTF-8", self.text_only)
            if self.finite_only and tensor.datatype in _FLOATS and not np.isfinite(tensor.to_numpy()).all():
                raise _unsupported(tensor, backend, "cannot carry NaN and Infinity", self.finite_only)
            if self.one_nan and tensor.datatype in _FLOATS and _has_unusual_nan(tensor):
                raise _unsupported(tensor, backend, "cannot carry a NaN with a sign or a payload", self.one_nan)
        if self.request_bytes and (size := sum(tensor.nbytes for tensor in request.inputs)) > self.request_bytes:
            raise PayloadTooLarge(
                f"inputs: {size} bytes are over the {self.request_bytes} that backend {backend!r} takes"
            )


def _unsupported(tensor: Tensor, backend: str, what: str, reason: str) -> Unsupported:
    return Unsupported(f"inputs[{tensor.name!r}]: backend {backend!r} {what}: {reason}")


def _has_unusual_nan(tensor: Tensor) -> bool:
    array = tensor.to_numpy()
    found = array[np.isnan(array)]
    return bool(found.tobytes() != np.full_like(found, np.nan).tobytes())


def _is_text(tensor: Tensor) -> bool:
    try:
        for element in split_bytes(tensor.data, tensor.name):
            element.decode()
    except UnicodeDecodeError:
        return False
    return True


EVERYTHING = Capabilities()
