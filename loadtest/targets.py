"""What there is to measure: every backend, through the gateway and directly, over each protocol it speaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from loadtest.stack_state import BackendState, GatewayState, StackState, read_token

Via = Literal["gateway", "direct"]
Protocol = Literal["HTTP", "gRPC"]
Wire = Literal["oip", "tfserving", "torchserve"]

# Each server's own protocols; the fast one where it has several ways to say the same. An engine inside the gateway
# (``embedded``) cannot be called directly.
_DIRECT: Mapping[str, tuple[tuple[Wire, Protocol], ...]] = {
    "oip": (("oip", "HTTP"), ("oip", "gRPC")),
    "tfserving": (("tfserving", "gRPC"),),
    "torchserve": (("torchserve", "HTTP"),),
}


@dataclass(slots=True, frozen=True)
class Target:
    """One way to reach one backend.

    Attributes:
        backend: its name in the stack.
        server: what runs there, with its version.
        via: through the gateway, or straight to the backend.
        protocol: transport.
        wire: message format.
        address: ``host:port``.
        token: bearer token the server wants; empty for none.
        problem: why it cannot be measured at all; empty when it can.
    """

    backend: str
    server: str
    via: Via
    protocol: Protocol
    wire: Wire
    address: str
    token: str = field(default="", repr=False)
    problem: str = ""

    @property
    def name(self) -> str:
        """Backend, way and protocol in one line."""
        return f"{self.backend} {self.via} {self.protocol}"


def targets_of(stack: StackState) -> list[Target]:
    """Every target of the running ``stack``, in the order of its backends."""
    return [target for name, backend in stack.backends.items() for target in _targets(name, backend, stack.gateway)]


def _targets(name: str, backend: BackendState, gateway: GatewayState) -> Iterator[Target]:
    problem = "" if backend.state == "ready" else f"the backend is {backend.state}; its log is {backend.log}"
    yield Target(name, backend.server, "gateway", "HTTP", "oip", gateway.http, problem=problem)
    yield Target(name, backend.server, "gateway", "gRPC", "oip", gateway.grpc, problem=problem)
    token = read_token(backend.token_file)
    for wire, protocol in _DIRECT.get(backend.kind, ()):
        url = backend.url.removeprefix("http://").rstrip("/") if backend.url else None
        address = url if protocol == "HTTP" else backend.grpc
        if address:
            yield Target(name, backend.server, "direct", protocol, wire, address, token, problem)
