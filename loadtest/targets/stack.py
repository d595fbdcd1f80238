"""Every way to every backend of a running stack: through the gateway, and straight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from loadtest.targets.stack_state import BackendState, StackState, read_token
from loadtest.targets.target import Protocol, Target, Via, Wire
from loadtest.targets.wires import FORMS

WIRES: tuple[Wire, ...] = ("oip", "oip-json", "tfserving", "torchserve")
_PROTOCOLS: tuple[Protocol, ...] = ("HTTP", "gRPC")
_GATEWAY_WIRE: Wire = "oip"  # its first on both transports
# What a kind of server speaks, its first before the others.
_SPOKEN: dict[str, tuple[Wire, ...]] = {
    "oip": ("oip", "oip-json"),
    "tfserving": ("tfserving",),
    "torchserve": ("torchserve",),
}


@dataclass(slots=True, frozen=True)
class _Way:
    """One way before it is known what it leads to; ``first`` is the wire that needs no name there."""

    via: Via
    wire: Wire
    protocol: Protocol
    address: str
    first: Wire


def targets_of(stack: StackState, wires: Sequence[Wire] = ()) -> list[Target]:
    """Every way to every backend of ``stack`` that speaks one of ``wires``.

    Without ``wires``: through the gateway in its own protocol, and straight in the server's own, over HTTP and gRPC.

    Raises:
        StackError: a backend's token cannot be read.
    """
    return [
        _target(name, backend, way)
        for name, backend in stack.backends.items()
        for way in (*_through(stack, wires or (_GATEWAY_WIRE,)), *_straight(backend, wires))
    ]


def _through(stack: StackState, wires: Sequence[Wire]) -> Iterator[_Way]:
    addresses = {"HTTP": stack.gateway.http, "gRPC": stack.gateway.grpc}
    for wire, protocol in _forms(wires):
        yield _Way("gateway", wire, protocol, addresses[protocol], _GATEWAY_WIRE)


def _straight(backend: BackendState, wires: Sequence[Wire]) -> Iterator[_Way]:
    spoken = _SPOKEN.get(backend.kind, ())
    chosen = [wire for wire in spoken if wire in wires] if wires else spoken[:1]
    addresses = {"HTTP": urlsplit(backend.url).netloc if backend.url else "", "gRPC": backend.grpc or ""}
    for wire, protocol in _forms(chosen):
        if addresses[protocol]:
            yield _Way("direct", wire, protocol, addresses[protocol], spoken[0])


def _forms(wires: Sequence[Wire]) -> Iterator[tuple[Wire, Protocol]]:
    for wire in wires:
        for protocol in _PROTOCOLS:
            if (wire, protocol) in FORMS:
                yield wire, protocol


def _target(name: str, backend: BackendState, way: _Way) -> Target:
    direct = way.via == "direct"
    spoken = way.protocol if way.wire == way.first else FORMS[way.wire, way.protocol].label
    return Target(
        backend=name,
        server=backend.server,
        via=way.via,
        protocol=way.protocol,
        wire=way.wire,
        address=way.address,
        name=f"{name} {way.via} {spoken}",
        token=read_token(backend.token_file) if direct else "",
        hint="" if direct else name,
        metrics=_metrics(backend),
        problem="" if backend.state == "ready" else f"backend {name} is {backend.state}; see its log {backend.log}",
    )


def _metrics(backend: BackendState) -> str:
    """Where the backend itself tells how long it took; the gateway tells with each of its answers."""
    if backend.kind == "oip" and backend.url:
        return f"oip+http://{urlsplit(backend.url).netloc}"
    if backend.kind == "torchserve" and backend.metrics:
        return f"prometheus+http://{backend.metrics}/metrics"
    return ""  # TensorFlow Serving publishes times only when it is configured to
