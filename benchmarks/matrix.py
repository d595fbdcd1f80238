"""What is measured: sizes of tensors, connections, forms of a request, and how long."""

from __future__ import annotations

from dataclasses import dataclass, replace

from loadtest.targets.target import Protocol, Wire

MODEL = "digits-mlp"
MOST_ROWS = 4096


@dataclass(slots=True, frozen=True)
class Size:
    """So many rows of the net's 784 floats in a request."""

    name: str
    rows: int


@dataclass(slots=True, frozen=True)
class Form:
    """One way of saying it. ``sizes`` are those that it is measured with."""

    name: str
    wire: Wire
    protocol: Protocol
    sizes: tuple[Size, ...]


# 3,136 B; 602,112 B, which is also a picture of 224 × 224 × 3 floats; 10,486,784 B.
SMALL, MIDDLE, LARGE = Size("3 KB", 1), Size("600 KB", 192), Size("10 MB", 3344)

BINARY = Form("HTTP", "oip", "HTTP", (SMALL, MIDDLE, LARGE))
GRPC = Form("gRPC", "oip", "gRPC", (SMALL, MIDDLE, LARGE))
# 10 MB of floats are up to 50 MB of text: nobody's way to send them, and more than some servers take.
JSON = Form("JSON", "oip-json", "HTTP", (SMALL, MIDDLE))


@dataclass(slots=True, frozen=True, kw_only=True)
class Effort:
    """How thorough a run is.

    Attributes:
        connections: requests in flight, each on a connection of its own over HTTP.
        sizes: those that are measured, of the sizes of each form, the small ones first.
        peer_sizes: the same of other people's servers.
        window: seconds of one block.
        blocks: of each target under each load, in turns; fewer than 6 give no interval.
        tool_seconds: of one measurement with wrk or h2load.
        tool_rounds: of those.
        anatomy_seconds: of load, for each form, while the gateway's functions are sampled.
        minutes: after these nothing further is begun.
    """

    connections: tuple[int, ...]
    sizes: tuple[Size, ...]
    peer_sizes: tuple[Size, ...]
    window: float
    blocks: int
    tool_seconds: int
    tool_rounds: int
    anatomy_seconds: float
    minutes: float


FULL = Effort(
    connections=(1, 16, 64),
    sizes=(SMALL, MIDDLE, LARGE),
    peer_sizes=(SMALL, MIDDLE, LARGE),
    window=1.0,
    blocks=6,
    tool_seconds=2,
    tool_rounds=5,
    anatomy_seconds=15.0,
    minutes=28.0,
)
QUICK = Effort(
    connections=(1, 16),
    sizes=(SMALL, MIDDLE),
    peer_sizes=(SMALL,),
    window=0.3,
    blocks=6,
    tool_seconds=1,
    tool_rounds=1,
    anatomy_seconds=5.0,
    minutes=5.0,
)

# Of other people's servers: with 64 times 10 MB some take half a minute for an answer.
_MOST_LARGE = 16


def for_peers(effort: Effort, size: Size) -> Effort:
    """As ``effort``, for other people's servers with ``size``."""
    if size is not LARGE:
        return effort
    return replace(effort, connections=tuple(number for number in effort.connections if number <= _MOST_LARGE))
