"""What parent and worker say to each other: one JSON object a line, the parent on standard input, the worker on output.

Each order gets one answer, but for the first, the configuration to start with. The end of the worker's input means:
drain, and end. So it means when the parent is gone, whichever way it went.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from gateway.core.log_settings import LogSettings

# Longest line, in bytes: a configuration, or the reason why one is refused.
MAX_LINE = 2**24


@dataclass(slots=True, frozen=True)
class Configure:
    """Run with the configuration in ``document``, which is JSON; answered by Configured."""

    document: str


@dataclass(slots=True, frozen=True)
class WriteLogs:
    """Write these log messages from now on; answered by Alive."""

    settings: LogSettings


@dataclass(slots=True, frozen=True)
class Beat:
    """Does the event loop run? Answered by Alive."""


@dataclass(slots=True, frozen=True)
class Ready:
    """The worker serves; ``addresses`` holds ``host:port`` by listener."""

    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Failed:
    """The worker cannot start; ``code`` is the exit code of a single gateway process then."""

    reason: str
    code: int


@dataclass(slots=True, frozen=True)
class Configured:
    """The worker runs the configuration that it was sent, or, with a ``refusal``, the one before."""

    refusal: str = ""


@dataclass(slots=True, frozen=True)
class Alive:
    """The event loop runs, and the order is carried out."""


Order = Configure | WriteLogs | Beat
Answer = Ready | Failed | Configured | Alive
Message = Order | Answer
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Configure, WriteLogs, Beat, Ready, Failed, Configured, Alive)
}


def encode(message: Message) -> bytes:
    """``message`` as a line."""
    return msgspec.json.encode({"is": type(message).__name__, "told": message}) + b"\n"


def decode(line: bytes) -> Message:
    """The message in ``line``.

    Raises:
        ValueError: there is none.
    """
    try:
        document = msgspec.json.decode(line)
        return msgspec.convert(document["told"], _KINDS[document["is"]])
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise ValueError(f"no message of parent or worker: {error}") from None
