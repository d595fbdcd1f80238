"""One HTTP port: uvicorn on the running loop, with our own signals, sockets and order of shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn

from gateway.core.limits import Limits
from gateway.frontends.http_protocol import GatewayHTTPProtocol
from gateway.frontends.syn_filter import drop_connection_requests

# How long a connection may be idle, in seconds: longer than in any client's pool, so that the client is who closes.
_KEEP_ALIVE = 120.0
# How long a connection may be open without a request before a stopping server closes it, in seconds.
_LINGER = 1.0
_POLL = 0.01
# Time for handshakes under way to end, in seconds: a few round trips of a slow network.
_HANDSHAKE = 0.2


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The application decides what a signal means; see gateway.serve.
        yield


class HTTPServer:
    """An ASGI application on one port; with ``share_port``, other processes of this user may listen on it too."""

    def __init__(
        self,
        app: Any,
        *,
        drain_timeout: float,
        limits: Limits,
        keep_alive: float = _KEEP_ALIVE,
        share_port: bool = False,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", partial(GatewayHTTPProtocol, limits=limits)),
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            # Nothing here reads the client's address, so nobody may forge it either.
            proxy_headers=False,
            timeout_keep_alive=cast("int", keep_alive),
            timeout_graceful_shutdown=max(1, round(drain_timeout)),
        )
        self._uvicorn = _Uvicorn(config)
        self._limits = limits
        self._share_port = share_port
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    def bind(self, host: str, port: int) -> int:
        """Take the port; returns the real one when ``port`` is 0.

        Raises:
            OSError: it is taken, or the host is not ours.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self._share_port:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Connections inherit it: one whose client does not take its answer is given up like one that sends none.
        patience = round(self._limits.body_seconds * 1000)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience)
        self._socket.bind((host, port))
        bound: int = self._socket.getsockname()[1]
        return bound

    async def start(self) -> None:
        """Begin to answer; returns when the port listens."""
        # uvicorn gets a copy of the socket, so that the port outlives its listening; see ``stop``.
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[self._bound.dup()]), name="http-server")
        while not self._uvicorn.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accept no more, answer what was accepted (bounded by ``drain_timeout``), close."""
        if self._task is None:
            return
        # Closing a listening socket resets the connections that clients take for open and we have not accepted. So:
        # let no new ones begin, let those under way arrive, end uvicorn's accepting, take what is left by hand.
        with contextlib.suppress(OSError):  # without a filter the window is small, and there is nothing better
            drop_connection_requests(self._bound)
        await asyncio.sleep(_HANDSHAKE)
        for server in self._uvicorn.servers:
            server.close()
        await self._accept_queued()
        self._bound.close()
        await self._linger()
        self._uvicorn.should_exit = True
        await self._task

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._uvicorn.server_state.connections)

    async def _accept_queued(self) -> None:
        config, loop = self._uvicorn.config, asyncio.get_running_loop()
        self._bound.setblocking(False)
        while True:
            try:
                connection, _ = self._bound.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            await loop.connect_accepted_socket(self._new_protocol(config), connection)

    def _new_protocol(self, config: uvicorn.Config) -> Callable[[], asyncio.Protocol]:
        state = self._uvicorn.server_state
        return lambda: config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg]

    async def _linger(self) -> None:
        # A connection without a request may have one under way. Every answer closes its connection by now, so
        # that what is left after a moment is idle.
        waited = 0.0
        while self.open_connections and waited < _LINGER:
            await asyncio.sleep(_POLL)
            waited += _POLL

    @property
    def _bound(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("bind() comes before start()")
        return self._socket
