"""How much a single request may ask of the gateway before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Limits:
    """Bounds on one request, and on what one client may hold open.

    Attributes:
        body_bytes: HTTP body or gRPC message, before and after decompression.
        json_depth: nesting of arrays and objects in a JSON body.
        tensors: inputs of one request.
        elements: elements of one tensor.
        body_chunks: pieces an HTTP body may arrive in.
        head_seconds: time for the head of a request, from its first byte to its last.
        body_seconds: time for the body of a request; gRPC's streams may take longer.
        connections: open at once on one port.
        streams: calls in flight on one gRPC connection; further ones wait in the client.
    """

    body_bytes: int = 64 * 1024 * 1024
    json_depth: int = 100
    tensors: int = 1024
    elements: int = 2**31 - 1
    body_chunks: int = 65_536
    head_seconds: float = 30.0
    body_seconds: float = 120.0
    connections: int = 10_000
    streams: int = 1_024
