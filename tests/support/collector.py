"""An OpenTelemetry collector for tests: takes OTLP over HTTP, decodes it by OpenTelemetry's own protobuf messages."""

import contextlib
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SECONDS = 20  # that anything may take


@dataclass(frozen=True)
class Received:
    """One span; ids in hexadecimal, as ``traceparent`` has them."""

    service: str
    name: str
    kind: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    state: str
    failed: str
    attributes: dict


class Collector:
    """What ``spans`` holds arrived; ``hang`` keeps the senders waiting until it is set, if it is an event."""

    def __init__(self):
        self.spans = []
        self.posts = 0
        self.status = 200
        self.hang = None
        self._arrival = threading.Condition()

    def wait_for(self, condition):
        """The spans, once ``condition`` is true of them."""
        with self._arrival:
            assert self._arrival.wait_for(lambda: condition(self.spans), SECONDS), [span.name for span in self.spans]
            return list(self.spans)

    def take(self, body):
        message = ExportTraceServiceRequest.FromString(body)
        with self._arrival:
            self.posts += 1
            if self.status == 200:
                self.spans += [
                    _received(_values(group.resource.attributes)["service.name"], span)
                    for group in message.resource_spans
                    for scope in group.scope_spans
                    for span in scope.spans
                ]
            self._arrival.notify_all()
        if self.hang is not None:
            self.hang.wait(SECONDS)
        return self.status

    def tree(self, trace):
        """The spans of ``trace`` as nested ``(service, name, outcome, [children])``, in the order of their starts."""
        spans = sorted((span for span in self.spans if span.trace == trace), key=lambda span: span.start)
        known = {span.id for span in spans}

        def below(parent):
            return [
                (span.service, span.name, span.attributes["gateway.outcome"], below(span.id))
                for span in spans
                if span.parent == parent
            ]

        return [
            tree
            for root in dict.fromkeys(span.parent for span in spans if span.parent not in known)
            for tree in below(root)
        ]


@contextlib.contextmanager
def collecting():
    """A running collector and its URL."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
            self.send_response(collector.take(self.rfile.read(int(self.headers["content-length"]))))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), name="collector")
    thread.start()
    try:
        yield collector, f"http://127.0.0.1:{server.server_port}"
    finally:
        if collector.hang is not None:
            collector.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _received(service, span):
    return Received(
        service,
        span.name,
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        span.trace_state,
        span.status.message if span.status.code == Status.STATUS_CODE_ERROR else "",
        _values(span.attributes),
    )


def _values(attributes):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
