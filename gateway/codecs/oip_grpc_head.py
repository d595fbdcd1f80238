"""What a serialised ModelInferRequest begins with, without reading the rest of it."""

from __future__ import annotations

# Fields 1 and 2, of bytes of a given length, which all libraries write first.
_NAME, _VERSION = 0x0A, 0x12
_LONGEST = 0x7F  # a length in one byte


def model_and_version(data: bytes) -> tuple[str, str] | None:
    """For which model and version it is, the version empty for any; None where it does not begin as usual."""
    name, end = _text(data, 0, _NAME)
    if not name:
        return None
    version, _ = _text(data, end, _VERSION)
    return name, version


def _text(data: bytes, start: int, tag: int) -> tuple[str, int]:
    """The text of the field ``tag`` at ``start`` and where it ends; empty where there is another one or a long one."""
    if len(data) < start + 2 or data[start] != tag or data[start + 1] > _LONGEST:
        return "", start
    end = start + 2 + data[start + 1]
    try:
        return data[start + 2 : end].decode(), end
    except UnicodeDecodeError:
        return "", start
