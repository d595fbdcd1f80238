"""Traces recorded by OpenTelemetry's SDK and sent to a collector, in OTLP over HTTP.

Needs the extra ``otel``, and is imported only where tracing is switched on. The SDK batches the spans and sends them in
a thread of its own: a collector that is slow or gone costs spans and no requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import socket
import threading
from collections.abc import Sequence

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags, TraceState

from gateway import __version__
from gateway.config.settings import TracingConfig
from gateway.core.messages import RequestContext
from gateway.core.span import Attributes, SpanKind
from gateway.telemetry.propagation import join

_log = structlog.get_logger()

_KINDS: dict[SpanKind, trace.SpanKind] = {
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "internal": trace.SpanKind.INTERNAL,
}
_MAX_VALUE = 256  # characters of an attribute: some are the client's own words
_MAX_QUEUE = 4096  # spans that wait to be sent; the oldest give way
# A batch is made while requests wait for the interpreter: small ones keep them waiting for a millisecond or two.
_BATCH = 64
_BATCH_SECONDS = 1.0
_SEND_SECONDS = 5.0  # for one batch, with all retries
_FLUSH_SECONDS = 3.0  # for what is left at the end


class OpenTelemetryTracer:
    """Records what the client records, and of the traces that start here the share ``settings.sample``."""

    def __init__(self, settings: TracingConfig) -> None:
        # It complains about every single batch; the exporter below says once what there is to say.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        exporter = _Exporter(settings.endpoint)
        self._processor = BatchSpanProcessor(exporter, _MAX_QUEUE, _BATCH_SECONDS * 1000, _BATCH)
        provider = TracerProvider(
            ALWAYS_ON,  # who is sampled is decided here, before anything is made
            Resource.create(
                {
                    "service.name": settings.service,
                    "service.version": __version__,
                    "host.name": socket.gethostname(),
                    "process.pid": os.getpid(),
                }
            ),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=_MAX_VALUE),
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("gateway", __version__)
        self._share = settings.sample

    def begin(self, context: RequestContext, name: str, attributes: Attributes) -> None:
        """See ``gateway.core.tracing.Tracer``."""
        if join(context):
            if not context.sampled_trace:
                return
            within = _within_client(context)
        elif random.random() < self._share:  # noqa: S311 - a share, not a secret
            within = Context()
        else:
            return
        span = _Span(self._tracer, self._tracer.start_span(name, within, trace.SpanKind.SERVER, attributes))
        context.span, context.traceparent = span, span.traceparent

    async def close(self) -> None:
        """Send what waits, for a few seconds at most."""
        loop, flushed = asyncio.get_running_loop(), asyncio.Event()

        def flush() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call]
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                loop.call_soon_threadsafe(flushed.set)

        # The threads of the loop's own pool would be waited for at the exit, however long they take.
        threading.Thread(target=flush, name="flush-spans", daemon=True).start()
        try:
            await asyncio.wait_for(flushed.wait(), _FLUSH_SECONDS)
        except TimeoutError:
            _log.warning("the last spans are lost: the collector does not take them in time")


class _Span:
    """See ``gateway.core.span.Span``."""

    __slots__ = ("_span", "_tracer", "traceparent")

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span
        ids = span.get_span_context()
        self.traceparent = f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}"

    def child(self, name: str, kind: SpanKind, attributes: Attributes) -> _Span:
        within = trace.set_span_in_context(self._span, Context())
        return _Span(self._tracer, self._tracer.start_span(name, within, _KINDS[kind], attributes))

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def end(self, outcome: str, problem: str = "") -> None:
        self._span.set_attribute("gateway.outcome", outcome)
        if problem:
            self._span.set_attribute("error.type", outcome)
            self._span.set_status(StatusCode.ERROR, problem)
        self._span.end()


class _Exporter(SpanExporter):
    """Says once that spans are lost, and once that they are no more."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._inner = OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=_SEND_SECONDS)
        self._working = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        working = result is SpanExportResult.SUCCESS
        if self._working and not working:
            _log.warning("spans are lost: the collector does not take them", endpoint=self._endpoint)
        elif working and not self._working:
            _log.info("the collector takes spans again", endpoint=self._endpoint)
        self._working = working
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()  # type: ignore[no-untyped-call]


def _within_client(context: RequestContext) -> Context:
    """The client's span as the one that a new span is a part of."""
    _, trace_id, span_id, flags = context.traceparent.split("-")
    state = TraceState.from_header([context.tracestate]) if context.tracestate else TraceState()
    client = SpanContext(int(trace_id, 16), int(span_id, 16), True, TraceFlags(int(flags, 16)), state)
    return trace.set_span_in_context(NonRecordingSpan(client), Context())
