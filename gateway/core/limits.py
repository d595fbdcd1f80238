"""How much a single request may ask of the gateway before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Limits:
    """Bounds on one request.

    Attributes:
        body_bytes: HTTP body or gRPC message, after decompression.
        json_depth: nesting of arrays and objects in a JSON body.
        tensors: inputs of one request.
        elements: elements of one tensor.
        body_chunks: pieces an HTTP body may arrive in.
    """

    body_bytes: int = 64 * 1024 * 1024
    json_depth: int = 100
    tensors: int = 1024
    elements: int = 2**31 - 1
    body_chunks: int = 65_536
