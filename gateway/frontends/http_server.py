"""One HTTP port: its connections, from its first to its last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import structlog

from gateway.core.limits import Limits
from gateway.frontends.http_crowd import HTTPCrowd
from gateway.frontends.port import Port
from gateway.http1.connection import Connection
from gateway.http1.serving import Application, Serving

# How long a connection may be idle, in seconds: longer than in any client's pool, so that the client is who closes.
_KEEP_ALIVE = 120.0
# How long a connection may be open without a request before a stopping server closes it, in seconds.
_LINGER = 1.0
_POLL = 0.01
# Connections that the kernel holds ready to be accepted.
_BACKLOG = 2048
# Connections accepted after a busy round of the event loop, which would accept one itself: with 50 rounds a second,
# a few hundred new clients would wait for seconds, and be as many timeouts.
_ACCEPTED_AT_ONCE = 100

_log = structlog.get_logger()


class HTTPServer:
    """An application on one port; with ``share_port``, other processes of this user may listen on it too.

    ``crowd`` says when requests for inference are turned away; None: never.
    """

    def __init__(
        self,
        application: Application,
        *,
        drain_timeout: float,
        limits: Limits,
        keep_alive: float = _KEEP_ALIVE,
        share_port: bool = False,
        crowd: HTTPCrowd | None = None,
    ) -> None:
        self._serving = Serving(application, limits, keep_alive, crowd)
        self._drain_timeout = drain_timeout
        # A client that does not take its answer is given up like one that sends no request.
        self._port = Port(share=share_port, patience=limits.body_seconds)
        self._listening: asyncio.Server | None = None
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
        listener, loop = self._port.listener(), asyncio.get_running_loop()
        self._listening = await loop.create_server(self._new_connection, sock=listener, backlog=_BACKLOG)

    async def stop(self) -> None:
        """Accept no more, answer what was accepted (bounded by ``drain_timeout``), close."""
        listening, self._listening = self._listening, None
        if listening is None:
            return
        await self._port.close(listening.close, self._new_connection)
        serving = self._serving

        def is_done() -> bool:
            return not serving.connections and not serving.tasks

        # A connection without a request may have one under way. Every answer closes its connection by now, so
        # that what is left after a moment is idle.
        await _until(lambda: not serving.connections, _LINGER)
        for connection in list(serving.connections):
            connection.finish()
        if await _until(is_done, self._drain_timeout):
            return
        _log.warning("requests are given up", requests=len(serving.tasks), after_s=self._drain_timeout)
        for task in list(serving.tasks):
            task.cancel()
        await _until(is_done, _LINGER)
        for connection in list(serving.connections):
            connection.abort()

    @property
    def open_connections(self) -> int:
        """How many there are now."""
        return len(self._serving.connections)

    def _new_connection(self) -> Connection:
        return Connection(self._serving)

    def _accept_more(self) -> None:
        if self._listening is None:
            return
        loop = asyncio.get_running_loop()
        for connection in self._port.accepted(_ACCEPTED_AT_ONCE):
            task = loop.create_task(loop.connect_accepted_socket(self._new_connection, connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``condition`` holds; False when it does not after so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        if loop.time() >= end:
            return False
        await asyncio.sleep(_POLL)
    return True
