"""What parent and worker say to each other: one JSON object a line, the parent on standard input, the worker on output.

The end of the worker's input means: drain, and end. So it means when the parent is gone, whichever way it went.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

# Longest line, in bytes: a configuration, or the reason why one is refused.
MAX_LINE = 2**24


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


Answer = Ready | Failed | Configured
_KINDS: dict[str, type[Answer]] = {kind.__name__: kind for kind in (Ready, Failed, Configured)}


def encode(answer: Answer) -> bytes:
    """``answer`` as a line."""
    return msgspec.json.encode({"is": type(answer).__name__, "told": answer}) + b"\n"


def decode(line: bytes) -> Answer:
    """The answer in ``line``.

    Raises:
        ValueError: there is none.
    """
    try:
        document = msgspec.json.decode(line)
        return msgspec.convert(document["told"], _KINDS[document["is"]])
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise ValueError(f"no answer of a worker: {error}") from None
