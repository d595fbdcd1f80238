"""One way to reach one server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Via = Literal["gateway", "direct"]
Protocol = Literal["HTTP", "gRPC"]
Wire = Literal["oip", "oip-json", "tfserving", "torchserve"]


@dataclass(slots=True, frozen=True)
class Target:
    """One way to reach one backend.

    Attributes:
        backend: its name in the stack, or what the user calls a server that was given by its URL.
        server: what runs there, with its version; empty when that is not known.
        via: through the gateway, or straight to the backend.
        protocol: transport.
        wire: message format; ``oip`` over HTTP is the binary form.
        address: ``host:port``.
        name: backend, way, protocol and, where it is not the server's first, message format, in one line; unique.
        token: bearer token the server wants; empty for none.
        hint: backend that the gateway is asked to take; empty for none.
        metrics: where the server publishes its own times, empty where it does not (see ``loadtest.server_times``).
        problem: why it cannot be measured at all; empty when it can.
    """

    backend: str
    server: str
    via: Via
    protocol: Protocol
    wire: Wire
    address: str
    name: str
    token: str = field(default="", repr=False)
    hint: str = ""
    metrics: str = ""
    problem: str = ""
