"""The metrics port: one page, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from gateway.http1.reply import Reply
from gateway.http1.request import Request


class MetricsApp:
    """Answers every path with ``page``, which makes body and content type for a header ``Accept``.

    The body is never compressed: that would take longer than all else that a scrape costs here.
    """

    def __init__(self, page: Callable[[str], tuple[bytes, str]]) -> None:
        self._page = page

    async def __call__(self, request: Request) -> Reply:
        body, content_type = self._page(request.headers.get(b"accept", b"").decode("latin-1"))
        return Reply(body, [(b"content-type", content_type.encode())])
