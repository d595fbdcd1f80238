"""The protocol-neutral request and response that every codec, filter and backend speaks."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.core.compared import Compared
from gateway.core.span import Span
from gateway.core.tensors import Tensor

Parameter = bool | int | float | str
NO_PARAMETERS: Mapping[str, Parameter] = {}
# Those that say how urgent a request is and nothing of its answer; what they say is in the context.
SCHEDULE_PARAMETERS = frozenset(("priority", "timeout"))
# The last digit of a traceparent's flags when the lowest of them is set.
_SAMPLED_FLAGS = frozenset("13579bdf")
_RESOLUTION = 0.002  # seconds: of the loop's timers, which may end a request a moment before its deadline
_NO_INPUT_PARAMETERS: Mapping[str, Mapping[str, Parameter]] = {}


@dataclass(slots=True)
class RequestContext:
    """What travels beside a request through the stack: hints on the way in, measurements on the way out.

    Attributes:
        protocol: the front door, such as ``oip-http``; a metric label.
        started: ``time.perf_counter()`` when the front door had the whole request, in seconds.
        headers: those of HTTP or the metadata of gRPC as they came, by name in lower case.
        backend: name of the backend the client asks for; empty leaves the choice to the gateway.
        timeout: seconds the client allows from ``started``; None leaves it to the configuration.
        traceparent: W3C trace context to pass on; the front door's tracer makes it a valid one.
        tracestate: what tracing systems keep beside it; empty when they keep nothing.
        span: the innermost one that is open; None for a request whose trace is not recorded.
        served_by: name of the backend that answered, or was tried last.
        backend_seconds: time spent waiting for backends, summed over attempts.
        queue_seconds: the part of it that was spent waiting for a free engine in this process.
        admission_seconds: time spent waiting to be admitted, before anything else.
        batch_seconds: time spent waiting for a lane to a backend, where requests are joined to batches.
        tried: backends that failed on this request, or have it already; others are preferred.
        deadline: when its time is over, on the event loop's clock; infinite for what has no end.
        priority: 1 is the most urgent; 0 means the client did not say, and comes after all who did.
        queue_timeout: seconds the request may wait for a free engine; None leaves that to the deadline.
        fresh: the client takes no answer that was computed for an equal request.
        cached: it got one.
        compare: the client waits to hear what all other backends say too.
        compared: what they said.
        request_id: the client's own, once the request is decoded; for logs.
        failure: the reason with which the stack gave the request up; empty as long as it has not.
    """

    protocol: str
    started: float = field(default_factory=time.perf_counter)
    backend: str = ""
    timeout: float | None = None
    traceparent: str = ""
    tracestate: str = ""
    span: Span | None = None
    served_by: str = ""
    backend_seconds: float = 0.0
    tried: tuple[str, ...] = ()
    deadline: float = math.inf
    priority: int = 0
    queue_timeout: float | None = None
    queue_seconds: float = 0.0
    batch_seconds: float = 0.0
    admission_seconds: float = 0.0
    fresh: bool = False
    cached: bool = False
    compare: bool = False
    compared: tuple[Compared, ...] = ()
    request_id: str = ""
    failure: str = ""
    headers: Mapping[bytes, bytes] | Mapping[str, str] | None = None

    def header(self, name: str) -> str | None:
        """What the client says in the header or metadata entry ``name``, which is in lower case; None: nothing."""
        headers: Mapping[Any, Any] = self.headers or {}
        value = headers.get(name)
        if value is None:
            value = headers.get(name.encode())
        return value.decode("latin-1") if isinstance(value, bytes) else value

    @property
    def trace_id(self) -> str:
        """The trace that the request belongs to; empty where none was begun."""
        return self.traceparent[3:35]

    @property
    def sampled_trace(self) -> str:
        """The same, where whoever began the trace keeps it; else empty."""
        return self.trace_id if self.traceparent[-1:] in _SAMPLED_FLAGS else ""

    @property
    def level(self) -> float:
        """How urgent it is: the lower, the more. Who names no priority comes after all who do."""
        return self.priority or math.inf

    def for_several(
        self, *, priority: int, deadline: float = math.inf, queue_timeout: float | None = None
    ) -> RequestContext:
        """What stands beside a call that this request shares with others: in the trace it is part of this one."""
        return RequestContext(
            self.protocol,
            traceparent=self.traceparent,
            tracestate=self.tracestate,
            span=self.span,
            deadline=deadline,
            priority=priority,
            queue_timeout=queue_timeout,
            headers=self.headers,
        )

    def parts(self, duration: float) -> dict[str, float]:
        """The parts of ``duration`` (seconds since it started) by their names; they do not overlap.

        ``admission``, where it had to wait for that: waiting to be admitted; ``queue``: waiting for a free engine in
        this process; ``batch``: waiting for a lane to a backend; ``backend``:
        waiting for its answer; ``gateway``: everything else.
        """
        parts = {
            "queue": self.queue_seconds,
            "batch": self.batch_seconds,
            "backend": max(0.0, self.backend_seconds - self.queue_seconds),
            "gateway": self.overhead(duration),
        }
        return {"admission": self.admission_seconds, **parts} if self.admission_seconds else parts

    def overhead(self, duration: float) -> float:
        """What the gateway's own work has of ``duration``, in seconds."""
        return max(0.0, duration - self.backend_seconds - self.batch_seconds - self.admission_seconds)

    def time_left(self) -> float:
        """Seconds until ``deadline``."""
        return self.deadline - asyncio.get_running_loop().time()

    @property
    def expired(self) -> bool:
        """Whether ``deadline`` is over: then whoever is cancelled is so for that, and not because the client left."""
        return self.time_left() <= _RESOLUTION

    def trace_headers(self) -> dict[str, str]:
        """The trace context as HTTP headers or gRPC metadata for a backend."""
        headers = {"traceparent": self.traceparent} if self.traceparent else {}
        if self.tracestate:
            headers["tracestate"] = self.tracestate
        return headers


@dataclass(slots=True)
class InferRequest:
    """One inference.

    ``outputs`` empty asks for all of the model's outputs, ``version`` empty for the latest, ``signature`` empty for
    the model's default one. ``label`` names a version in place of ``version``. ``input_parameters`` holds what the
    client says beside an input, by its name, for backends that know what it means (MLServer's ``content_type``).
    """

    model: str
    inputs: tuple[Tensor, ...]
    context: RequestContext
    version: str = ""
    label: str = ""
    signature: str = ""
    id: str = ""
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: NO_PARAMETERS)
    input_parameters: Mapping[str, Mapping[str, Parameter]] = field(default_factory=lambda: _NO_INPUT_PARAMETERS)

    @property
    def rows(self) -> int:
        """Its size as a batch: the first dimension of its first input; 0 where there is none."""
        shape = self.inputs[0].shape if self.inputs else ()
        return shape[0] if shape else 0


@dataclass(slots=True)
class InferResponse:
    """The answer. ``outputs`` hold the requested outputs, in the requested order."""

    model: str
    version: str
    outputs: tuple[Tensor, ...]
    id: str = ""
    parameters: Mapping[str, Parameter] = field(default_factory=lambda: NO_PARAMETERS)
