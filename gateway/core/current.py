"""Which request a task works on, so that whatever is logged meanwhile names it without having been told.

A front door sets it in the task that it answers in; tasks started from there inherit it.
"""

from __future__ import annotations

from contextvars import ContextVar

from gateway.core.messages import RequestContext

CURRENT: ContextVar[RequestContext | None] = ContextVar("current request", default=None)
