"""One HTTP port: uvicorn on the running loop, with our own signals, sockets and order of shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

# Time for the loop to accept what the kernel had queued when the backlog was closed, in seconds.
_ACCEPT_QUEUE = 0.05


class _Uvicorn(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # The application decides what a signal means; see gateway.app.
        yield


class HTTPServer:
    """An ASGI application on one port."""

    def __init__(self, app: Any, *, drain_timeout: float) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            loop="none",
            log_config=None,
            access_log=False,
            server_header=False,
            # Nothing here reads the client's address, so nobody may forge it either.
            proxy_headers=False,
            # Longer than the idle time of any client's pool, so that the client is the one who closes.
            timeout_keep_alive=120,
            timeout_graceful_shutdown=max(1, round(drain_timeout)),
        )
        self._uvicorn = _Uvicorn(config)
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
        self._socket.bind((host, port))
        bound: int = self._socket.getsockname()[1]
        return bound

    async def start(self) -> None:
        """Begin to answer; returns when the port listens."""
        self._task = asyncio.create_task(self._uvicorn.serve(sockets=[self._bound]), name="http-server")
        while not self._uvicorn.started:
            if self._task.done():
                await self._task
                raise RuntimeError("the HTTP server ended while it started")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Accept no more, answer what is in flight (bounded by ``drain_timeout``), close."""
        if self._task is None:
            return
        # Closing a listening socket resets connections that the kernel has accepted and we have not. A backlog of
        # zero first stops new ones, then the loop takes those that wait.
        self._bound.listen(0)
        await asyncio.sleep(_ACCEPT_QUEUE)
        self._uvicorn.should_exit = True
        await self._task

    @property
    def _bound(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("bind() comes before start()")
        return self._socket
