"""The small JSON bodies of the Open Inference Protocol's control operations; an empty body is an empty object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from gateway.codecs.json_document import decode_json

T = TypeVar("T")
_MAX_DEPTH = 16

# What a 64-bit number of the protocol can hold.
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Index(msgspec.Struct):
    """Which models are to be listed: all, or those that are ``ready``."""

    ready: bool = False


class Control(msgspec.Struct):
    """Parameters of loading and unloading."""

    parameters: dict[str, Any] = {}


class Registration(msgspec.Struct):
    """A part of a shared memory segment."""

    key: str
    byte_size: _Size
    offset: _Size = 0


_INDEX = msgspec.json.Decoder(Index)
_CONTROL = msgspec.json.Decoder(Control)
_REGISTRATION = msgspec.json.Decoder(Registration)
_SETTINGS = msgspec.json.Decoder(dict[str, Any])


def index(body: bytes) -> Index:
    """The body of ``/v2/repository/index``; each of these raises InvalidRequest when it breaks the protocol."""
    return _decode(body, _INDEX)


def control(body: bytes) -> Control:
    """The body of loading and unloading."""
    return _decode(body, _CONTROL)


def registration(body: bytes) -> Registration:
    """The body of registering shared memory."""
    return _decode(body, _REGISTRATION)


def settings(body: bytes) -> Mapping[str, Any]:
    """The body of changing settings."""
    return _decode(body, _SETTINGS)


def _decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    return decode_json(body or b"{}", decoder, max_depth=_MAX_DEPTH)
