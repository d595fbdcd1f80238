"""``tensorflow.serving.ModelSpec``: which version and which signature of which model a message is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from gateway.core.errors import InvalidRequest

DEFAULT_SIGNATURE = "serving_default"
_MAX_VERSION = 2**63 - 1


@dataclass(slots=True, frozen=True)
class ModelQuery:
    """What a client names: without ``version`` and ``label`` the latest, without ``signature`` the default one."""

    name: str
    version: str = ""
    label: str = ""
    signature: str = ""

    def __str__(self) -> str:
        return f"Specific({self.name}, {self.version})" if self.version else f"Latest({self.name})"


def parse_message(message_type: Any, data: bytes) -> Any:
    """``data`` as a message.

    Raises:
        InvalidRequest: it is none of that type.
    """
    try:
        return message_type.FromString(data)
    except DecodeError:
        raise InvalidRequest(f"the message is not a valid {message_type.DESCRIPTOR.full_name}") from None


def decode_model_spec(owner: Any, field: str = "model_spec") -> ModelQuery:
    """The ``model_spec`` of the message ``owner``, called ``field`` in errors.

    Raises:
        InvalidRequest: there is none, or it names no model.
    """
    if not owner.HasField("model_spec"):
        raise InvalidRequest(f"{field}: Missing ModelSpec")
    spec = owner.model_spec
    if not spec.name:
        raise InvalidRequest(f"{field}.name: ModelSpec has no name specified.")
    version = str(spec.version.value) if spec.HasField("version") else ""
    return ModelQuery(spec.name, version, spec.version_label, spec.signature_name)


def encode_model_spec(spec: Any, query: ModelQuery) -> None:
    """Write ``query`` into the empty ModelSpec ``spec``; a version that is no int64 is left out."""
    spec.name = query.name
    if (number := version_number(query.version)) is not None:
        spec.version.value = number
    elif query.label:
        spec.version_label = query.label
    spec.signature_name = query.signature


def version_number(version: str) -> int | None:
    """``version`` as the protocol's int64; None when it is none, as other servers' versions may be."""
    if not (version.isascii() and version.isdecimal() and len(version) < 20):
        return None
    number = int(version)
    return number if number <= _MAX_VERSION else None
