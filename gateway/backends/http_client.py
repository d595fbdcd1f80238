"""The HTTP side of a backend: pooled keep-alive connections, and aiohttp's errors mapped to ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from gateway.core.errors import BackendError, ConnectFailed, DeadlineExceeded, GatewayError, Unavailable
from gateway.core.tensors import Buffer


@dataclass(slots=True, frozen=True)
class HTTPAnswer:
    """Status, headers (any case) and body of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HTTPClient:
    """Speaks to one server. ``timeout`` bounds one exchange, in seconds."""

    def __init__(self, backend: str, base_url: str, *, timeout: float, max_body: int) -> None:
        self._backend = backend
        self._base_url = base_url
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 5.0))
        self._max_body = max_body
        self._session: aiohttp.ClientSession | None = None

    async def get(self, path: str, headers: Mapping[str, str] | None = None) -> HTTPAnswer:
        """GET ``path``.

        Raises:
            ConnectFailed: nothing reached the server.
            DeadlineExceeded: no complete answer in time.
            Unavailable: the connection broke before the answer was complete.
            BackendError: the answer is no HTTP or too large.
        """
        return await self._exchange("GET", path, None, headers)

    async def post(self, path: str, body: Buffer, headers: Mapping[str, str]) -> HTTPAnswer:
        """POST ``body`` to ``path``; raises as ``get``."""
        return await self._exchange("POST", path, body, headers)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(
        self, method: str, path: str, body: Buffer | None, headers: Mapping[str, str] | None
    ) -> HTTPAnswer:
        session = self._session or self._open()
        try:
            async with session.request(method, self._base_url + path, data=body, headers=headers) as answer:
                if (answer.content_length or 0) > self._max_body:
                    raise BackendError(f"backend {self._backend!r}: its answer is over {self._max_body} bytes")
                return HTTPAnswer(answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._mapped(error) from error

    def _open(self) -> aiohttp.ClientSession:
        # Made here and not in __init__, because a session belongs to the running loop.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=60, use_dns_cache=True, ttl_dns_cache=10)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=16_384,
            max_field_size=16_384,
        )
        return self._session

    def _mapped(self, error: Exception) -> GatewayError:
        # Order matters: aiohttp's time-outs are also client errors.
        table: tuple[tuple[type[Exception], type[GatewayError], str], ...] = (
            (aiohttp.ConnectionTimeoutError, ConnectFailed, "cannot be reached"),
            (TimeoutError, DeadlineExceeded, "did not answer in time"),
            (aiohttp.ClientConnectorError, ConnectFailed, "refused the connection"),
            (aiohttp.ServerDisconnectedError, Unavailable, "closed the connection before it answered"),
            (OSError, Unavailable, "broke the connection"),
        )
        for kind, ours, text in table:
            if isinstance(error, kind):
                return ours(f"backend {self._backend!r} {text}")
        return BackendError(f"backend {self._backend!r} gave an answer that is no valid HTTP")
