"""The metrics port: one page, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from gateway.frontends.asgi import Receive, Scope, Send, respond


class MetricsApp:
    """Answers every path with ``page``, which makes body and content type for a header ``Accept``.

    The body is never compressed: that would take longer than all else that a scrape costs here.
    """

    def __init__(self, page: Callable[[str], tuple[bytes, str]]) -> None:
        self._page = page

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        accept = b",".join([value for name, value in scope["headers"] if name == b"accept"])
        body, content_type = self._page(accept.decode("latin-1"))
        await respond(send, 200, body, [(b"content-type", content_type.encode())])
