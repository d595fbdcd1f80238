"""One HTTP port: uvicorn on the running loop, with our own signals, sockets and order of shutdown."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import uvicorn

from gateway.core.limits import Limits
from gateway.frontends.http_crowd import HTTPCrowd
from gateway.frontends.http_protocol import GatewayHTTPProtocol
from gateway.frontends.http_receiver import READ_AT_ONCE, Receiver
from gateway.frontends.port import Port

# How long a connection may be idle, in seconds: longer than in any client's pool, so that the client is who closes.
_KEEP_ALIVE = 120.0
# How long a connection may be open without a request before a stopping server closes it, in seconds.
_LINGER = 1.0
_POLL = 0.01
# Connections accepted after a busy round of the event loop, which would accept one itself: with 50 rounds a second,
# a few hundred new clients would wait for seconds, and be as many timeouts.
_ACCEPTED_AT_ONCE = 100


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The application decides what a signal means; see gateway.serve.
        yield


def _new_receiver(**options: Any) -> Receiver:
    return GatewayHTTPProtocol(**options).receiver


class HTTPServer:
    """An ASGI application on one port; with ``share_port``, other processes of this user may listen on it too.

    ``crowd`` says when requests for inference are turned away; None: never.
    """

    def __init__(
        self,
        app: Any,
        *,
        drain_timeout: float,
        limits: Limits,
        keep_alive: float = _KEEP_ALIVE,
        share_port: bool = False,
        crowd: HTTPCrowd | None = None,
    ) -> None:
        scratch = memoryview(bytearray(READ_AT_ONCE))
        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", partial(_new_receiver, limits=limits, scratch=scratch, crowd=crowd)),
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
        # A client that does not take its answer is given up like one that sends no request.
        self._port = Port(share=share_port, patience=limits.body_seconds)
        self._task: asyncio.Task[None] | None = None
        self._connecting: set[asyncio.Task[Any]] = set()
        if crowd is not None:
            crowd.rule.on_busy_round(self._accept_more)

    def bind(self, host: str, port: int) -> int:
        """Take the port; returns the real one when ``port`` is 0.

        Raises:
            OSError: it is taken, or the host is not ours.
        """
        return self._port.bind(host, port)

    async def start(self) -> None:
        """Begin to answer; returns when the port listens."""
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[self._port.listener()]), name="http-server")
        while not self._uvicorn.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accept no more, answer what was accepted (bounded by ``drain_timeout``), close."""
        if self._task is None:
            return
        await self._port.close(self._stop_listening, self._new_protocol)
        await self._linger()
        self._uvicorn.should_exit = True
        await self._task

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._uvicorn.server_state.connections)

    def _accept_more(self) -> None:
        if not self._uvicorn.started or self._uvicorn.should_exit:
            return
        loop = asyncio.get_running_loop()
        for connection in self._port.accepted(_ACCEPTED_AT_ONCE):
            task = loop.create_task(loop.connect_accepted_socket(self._new_protocol, connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _stop_listening(self) -> None:
        for server in self._uvicorn.servers:
            server.close()

    def _new_protocol(self) -> asyncio.BaseProtocol:
        config, state = self._uvicorn.config, self._uvicorn.server_state
        return config.http_protocol_class(config=config, server_state=state, app_state={})  # type: ignore[call-arg]

    async def _linger(self) -> None:
        # A connection without a request may have one under way. Every answer closes its connection by now, so
        # that what is left after a moment is idle.
        waited = 0.0
        while self.open_connections and waited < _LINGER:
            await asyncio.sleep(_POLL)
            waited += _POLL
