"""Traces of requests: where the spans of one come from, and how the parts of the stack add theirs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from gateway.core.errors import GatewayError, outcome_of
from gateway.core.messages import RequestContext
from gateway.core.span import Attributes, Span, SpanKind

_NOTHING = contextlib.nullcontext()


class Tracer(Protocol):
    """What the front doors hand every inference to."""

    def begin(self, context: RequestContext, name: str, attributes: Attributes) -> None:
        """Give ``context`` its place in a trace, from the trace context that the client sent or in a new one.

        When the trace is recorded, ``context.span`` is its span ``name`` afterwards; the door ends it.
        """

    async def close(self) -> None:
        """Send what is recorded and was not sent yet, within a few seconds; nothing may begin afterwards."""


def child_span(
    context: RequestContext, name: str, kind: SpanKind = "internal", attributes: Attributes | None = None
) -> AbstractContextManager[None]:
    """Time what is inside as a part of the span that is open; nothing where the trace is not recorded.

    Backends that are called inside are told of the new span.
    """
    if context.span is None:
        return _NOTHING
    return _open(context, context.span, context.span.child(name, kind, attributes or {}))


@contextlib.contextmanager
def _open(context: RequestContext, parent: Span, child: Span) -> Iterator[None]:
    context.span, context.traceparent = child, child.traceparent
    try:
        yield
    except BaseException as error:
        child.end(outcome_of(error), error.message if isinstance(error, GatewayError) else type(error).__name__)
        raise
    else:
        child.end("ok")
    finally:
        context.span, context.traceparent = parent, parent.traceparent
