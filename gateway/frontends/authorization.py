"""Who may use the administrative operations: one rule for every protocol and every alias of an operation."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, replace

from gateway.core.errors import PermissionDenied, Unauthenticated, Unsupported


@dataclass(slots=True, frozen=True)
class Caller:
    """Where a request comes from: the peer's address as text (empty: unknown), and its Authorization header."""

    host: str
    authorization: str = ""

    @property
    def on_this_machine(self) -> bool:
        """Whether the peer is on loopback."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return (mapped or address).is_loopback


@dataclass(slots=True, frozen=True)
class Authorization:
    """The rule of one port: ``token`` (empty: none) lets its bearers in, ``loopback`` callers on this machine.

    A ``refusal`` is why the port has no administrative operations, for anybody.
    """

    token: str = ""
    loopback: bool = False
    refusal: str = ""

    def with_loopback(self) -> Authorization:
        """The rule of the admin port."""
        return replace(self, loopback=True, refusal="")

    def require_admin(self, caller: Caller) -> None:
        """Return when ``caller`` may use administrative operations.

        Raises:
            Unauthenticated: a token would help, and none or a wrong one came.
            PermissionDenied: nothing would help on this port.
            Unsupported: the port has no such operations.
        """
        if self.refusal:
            raise Unsupported(self.refusal)
        if self.loopback and caller.on_this_machine:
            return
        if not self.token:
            raise PermissionDenied("administrative operations are not allowed on this port")
        scheme, _, given = caller.authorization.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self.token.encode()):
            raise Unauthenticated("administrative operations need a valid bearer token")
