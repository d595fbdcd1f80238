"""Who gives requests their place in a trace: with tracing switched off, and on."""

from __future__ import annotations

from gateway.config import TracingConfig
from gateway.config_file import ConfigError
from gateway.core.messages import RequestContext
from gateway.core.span import Attributes
from gateway.core.trace_context import new_traceparent, read_traceparent, read_tracestate
from gateway.core.tracing import Tracer


def open_tracer(settings: TracingConfig | None) -> Tracer:
    """The tracer that the section ``tracing`` asks for; None is one that is not there.

    Raises:
        ConfigError: it asks for OpenTelemetry, which is not installed.
    """
    if settings is None:
        return Propagation()
    try:
        from gateway.telemetry.otel import OpenTelemetryTracer
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"tracing: {error.name} is not installed; install it with: pip install 'serving-gateway[otel]'"
        ) from None
    return OpenTelemetryTracer(settings)


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
