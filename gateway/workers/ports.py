"""The ports that all workers listen on."""

from __future__ import annotations

import socket

from gateway.config.settings import GatewayConfig, Listener
from gateway.frontends.listening import listen

SHARED = ("http", "grpc")


class SharedPorts:
    """Holds the ports of the clients for as long as the parent lives, so that a restart of all workers finds them.

    The sockets are bound and do not listen: the kernel gives connections to the workers, which listen. A port that
    belongs to somebody else, even of this user, is an error, as it is for a single process.

    Attributes:
        listeners: by key of the configuration, with a real port where that has 0.
    """

    def __init__(self, config: GatewayConfig) -> None:
        """Take them.

        Raises:
            ListenError: one is taken; names the setting that holds it.
        """
        self.listeners: dict[str, Listener] = {}
        self._sockets: list[socket.socket] = []
        try:
            for key in SHARED:
                self._hold(key, getattr(config, key))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give them up."""
        for held in self._sockets:
            held.close()

    def _hold(self, key: str, listener: Listener) -> None:
        held = listen(key, listener.host, listener.port, _bind)
        self._sockets.append(held)
        self.listeners[key] = Listener(host=listener.host, port=held.getsockname()[1])


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Lets a socket bind to a port that others are bound to and none listens on: the workers beside this one, and
        # this one beside what a former server left in TIME_WAIT. Not SO_REUSEPORT, which would find a port free that
        # others listen on and share.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
