"""Which requests may run twice."""

from __future__ import annotations

from gateway.core.messages import InferRequest

# Triton's sequence extension: the server keeps a state between requests that carry the same one; 0 and "" are none.
_SEQUENCE = "sequence_id"


def is_idempotent(request: InferRequest) -> bool:
    """Whether it does no harm when two servers run ``request``, or one runs it twice: inference is, without a state."""
    return not request.parameters.get(_SEQUENCE)
