"""Who sends a request, as far as the gateway tells its clients apart."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from gateway.core.messages import RequestContext

HEADER = "x-gateway-client"
_LONGEST_NAME = 64  # characters


def kept_name(said: str) -> str:
    """A name that takes little memory, however long what a client says is: it may be a token."""
    return said if len(said) <= _LONGEST_NAME else sha256(said.encode()).hexdigest()


class Clients:
    """Names clients by their header or metadata entry ``header``; all that send none are one client, named ``""``.

    ``weights`` holds, by name, how many turns a client has for one of the others.
    """

    __slots__ = ("_header", "_weights")

    def __init__(self, header: str, weights: Mapping[str, int]) -> None:
        self._header = header
        self._weights = weights

    def name(self, context: RequestContext) -> str:
        """Who sent the request."""
        return kept_name(context.header(self._header) or "")

    def weight(self, name: str) -> int:
        """Turns of the client called ``name``."""
        return self._weights.get(name, 1)
