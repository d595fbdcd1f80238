"""The series of whatever waits for a backend: for one of its engines in this process, or for a lane to its server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Gauge

from gateway.telemetry.histogram import Histogram

# Of what is watched for saturation, few bounds do: 1 ms is nothing, 2 s is lost.
SLOW_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.0)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class EngineQueue(Protocol):
    """Where requests wait for one of a backend's engines."""

    capacity: int

    @property
    def depth(self) -> int:
        """Requests that wait now."""

    def tell_waits(self, heard: Callable[[float], None]) -> None:
        """Call ``heard`` with the seconds that each request has waited, when its turn comes."""


class LaneQueue(Protocol):
    """Where the requests for one model wait for a lane to a backend."""

    @property
    def capacity(self) -> int:
        """How many may wait."""

    @property
    def depth(self) -> int:
        """Requests that wait now."""

    @property
    def lane_count(self) -> int:
        """Calls that may be under way now."""


class LaneMetrics:
    """The series of the lanes to one backend; a queue that is watched counts for as long as it lives."""

    def __init__(self, wait: Callable[[float], None], rows: Callable[[float], None]) -> None:
        self.lane_waited = wait
        self.batch_sent = rows
        self._queues: WeakSet[LaneQueue] = WeakSet()

    def watch(self, queue: LaneQueue) -> None:
        """Count ``queue`` too."""
        self._queues.add(queue)

    def depth(self) -> int:
        return sum(queue.depth for queue in self._queues)

    def capacity(self) -> int:
        return sum(queue.capacity for queue in self._queues)

    def fullness(self) -> float:
        return max((queue.depth / queue.capacity for queue in self._queues), default=0.0)

    def lanes(self) -> int:
        return sum(queue.lane_count for queue in self._queues)


class QueueMetrics:
    """Backends have either engines in this process or lanes to a server."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._wait = Histogram(
            "gateway_queue_wait_seconds",
            "Waiting for a lane to a backend, or for one of its engines in this process.",
            ("backend",),
            SLOW_BUCKETS,
            registry,
        )
        self._rows = Histogram(
            "gateway_batch_size", "Rows of a call to a backend's server.", ("backend",), ROW_BUCKETS, registry
        )
        self._depth = Gauge(
            "gateway_queue_depth", "Requests that wait for a backend in this process.", ["backend"], registry=registry
        )
        self._limit = Gauge(
            "gateway_queue_limit", "How many may wait; more are refused.", ["backend"], registry=registry
        )
        self._fullness = Gauge(
            "gateway_queue_fullness",
            "Share of the places that are taken, in the fullest of a backend's queues: each model has its own.",
            ["backend"],
            registry=registry,
        )
        self._lane_count = Gauge(
            "gateway_batch_lanes",
            "Calls that may be under way to a backend at once, over all models; what is more waits and is batched.",
            ["backend"],
            registry=registry,
        )
        self._lanes: dict[str, LaneMetrics] = {}

    def watch_engine(self, backend: str, queue: EngineQueue) -> None:
        """Tell the state of ``queue``, and how long requests wait in it, from now on."""
        self._limit.labels(backend).set(queue.capacity)
        self._depth.labels(backend).set_function(lambda: queue.depth)
        self._fullness.labels(backend).set_function(lambda: queue.depth / queue.capacity)
        queue.tell_waits(self._wait.series(backend).observe)

    def lanes(self, backend: str) -> LaneMetrics:
        """The recorder for the lanes to ``backend``, one for all its models."""
        if backend in self._lanes:
            return self._lanes[backend]
        metrics = self._lanes[backend] = LaneMetrics(
            self._wait.series(backend).observe, self._rows.series(backend).observe
        )
        self._limit.labels(backend).set_function(metrics.capacity)
        self._depth.labels(backend).set_function(metrics.depth)
        self._fullness.labels(backend).set_function(metrics.fullness)
        self._lane_count.labels(backend).set_function(metrics.lanes)
        return metrics
