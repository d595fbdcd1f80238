"""Taking a port, or saying which setting holds the one that cannot be taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class ListenError(Exception):
    """A port cannot be taken; the message names the setting that holds it."""


def listen(key: str, host: str, port: int, bind: Callable[[str, int], T]) -> T:
    """What ``bind`` gives for ``host`` and ``port``, which the section ``key`` of the configuration holds.

    Raises:
        ListenError: it does not take the port.
    """
    try:
        return bind(host, port)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is already in use"
        raise ListenError(f"{key}.port: cannot listen on {host}:{port}: {reason}") from None
