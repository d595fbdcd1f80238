"""Requests and the trace of their client: taken up, and handed on."""

from __future__ import annotations

from gateway.core.messages import RequestContext
from gateway.core.span import Attributes
from gateway.core.trace_context import new_traceparent, read_traceparent, read_tracestate


class Propagation:
    """Records nothing, and hands on what the client sent, so that the backends' spans hang below the client's own."""

    def begin(self, context: RequestContext, name: str, attributes: Attributes) -> None:  # noqa: ARG002
        """See ``gateway.core.tracing.Tracer``."""
        join(context)

    async def close(self) -> None:
        """See ``gateway.core.tracing.Tracer``."""


def join(context: RequestContext) -> bool:
    """Put ``context`` into the trace of its client; False where it has none and one was started."""
    if context.traceparent and (ours := read_traceparent(context.traceparent)):
        context.traceparent = ours
        if context.tracestate:
            context.tracestate = read_tracestate(context.tracestate)
        return True
    context.traceparent, context.tracestate = new_traceparent(), ""
    return False
