"""A TCP port of a server, which ends without resetting anybody whose connection has begun."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

from gateway.frontends.syn_filter import drop_connection_requests

# Time for handshakes under way to end, in seconds: a few round trips of a slow network.
_HANDSHAKE = 0.2
# When a peer that says nothing is asked whether it is still there, in seconds.
_KEEP_ALIVE = 120
_AT_ONCE = 100  # connections that are taken from the queue before they are served


class Port:
    """One port, from ``bind`` to ``close``.

    With ``share``, other processes of this user may listen on it too. A connection whose client does not take what it
    is sent for ``patience`` seconds is given up.
    """

    def __init__(self, *, share: bool, patience: float) -> None:
        self._share = share
        self._patience = round(patience * 1000)
        self._socket: socket.socket | None = None

    def bind(self, host: str, port: int) -> int:
        """Take it; returns the real number when ``port`` is 0.

        Raises:
            OSError: it is taken, or the host is not ours.
        """
        self._socket = bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._share:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Connections inherit these.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._patience)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE)
        bound.bind((host, port))
        number: int = bound.getsockname()[1]
        return number

    def listener(self) -> socket.socket:
        """A copy of the socket to listen on, so that the port outlives its listening; see ``close``."""
        return self._bound.dup()

    def accepted(self, most: int) -> list[socket.socket]:
        """Up to ``most`` connections that nobody has accepted yet."""
        found: list[socket.socket] = []
        with contextlib.suppress(OSError):  # no more of them, or of file descriptors; or the port is closed
            self._bound.setblocking(False)
            while len(found) < most:
                connection, _ = self._bound.accept()
                connection.setblocking(False)
                found.append(connection)
        return found

    async def close(
        self, stop_listening: Callable[[], object], new_protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        """Accept no more: ``stop_listening`` closes the copies, ``new_protocol`` serves what was not accepted yet."""
        # Closing a listening socket resets the connections that clients take for open and we have not accepted. So:
        # let no new ones begin, let those under way arrive, end the server's accepting, take what is left by hand.
        with contextlib.suppress(OSError):  # without a filter the window is small, and there is nothing better
            drop_connection_requests(self._bound)
        await asyncio.sleep(_HANDSHAKE)
        stop_listening()
        loop = asyncio.get_running_loop()
        while queued := self.accepted(_AT_ONCE):
            for connection in queued:
                await loop.connect_accepted_socket(new_protocol, connection)
        self._bound.close()

    @property
    def _bound(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("bind() comes before start()")
        return self._socket
