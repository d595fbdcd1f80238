"""The Prometheus metrics of a gateway process.

Units are seconds and bytes. Series exist from the start with zero where their labels are known; models that the
gateway does not know collapse to ``_OTHER``, so that nobody can grow the registry with made-up names.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from gateway import __version__

# gRPC's latency buckets (proposal A66), trimmed to 10 µs … 10 s.
BUCKETS = (
    1e-05, 5e-05, 1e-04, 3e-04, 6e-04, 8e-04, 1e-03, 2e-03, 3e-03, 4e-03, 5e-03, 6e-03, 8e-03, 1e-02, 1.3e-02,
    1.6e-02, 2e-02, 2.5e-02, 3e-02, 4e-02, 5e-02, 6.5e-02, 8e-02, 1e-01, 1.3e-01, 1.6e-01, 2e-01, 2.5e-01, 3e-01,
    4e-01, 5e-01, 6.5e-01, 8e-01, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip
OTHER = "_OTHER"

# A second series per child, of use only to a scraper that cannot see a restart; Prometheus can.
disable_created_metrics()  # type: ignore[no-untyped-call]


class AttemptMetrics:
    """The attempt series of one backend."""

    def __init__(self, backend: str, durations: Histogram, in_flight: Gauge) -> None:
        self._backend = backend
        self._durations = durations
        self._in_flight = in_flight.labels(backend)
        self._children = {outcome: durations.labels(backend, outcome) for outcome in ("ok", "connect_failed")}

    def attempt_started(self) -> None:
        self._in_flight.inc()

    def attempt_finished(self, outcome: str, duration: float) -> None:
        self._in_flight.dec()
        child = self._children.get(outcome)
        if child is None:
            child = self._children[outcome] = self._durations.labels(self._backend, outcome)
        child.observe(duration)


class GatewayMetrics:
    """Every series of the process; recorders for the filters are made from it once, at start."""

    def __init__(self, backends: Iterable[str], models: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._models = set(models)
        self._request_duration = self._histogram(
            "gateway_request_duration_seconds",
            "Whole requests, from the moment the front door had them.",
            ("protocol", "model", "backend", "outcome"),
        )
        self._overhead = self._histogram(
            "gateway_overhead_seconds", "Part of a request spent outside any backend.", ("protocol", "backend")
        )
        self._attempt_duration = self._histogram(
            "gateway_attempt_duration_seconds", "Attempts on a backend, next to the wire.", ("backend", "outcome")
        )
        self._in_flight = Gauge(
            "gateway_inflight_requests", "Attempts in flight on a backend.", ["backend"], registry=self.registry
        )
        self._ready = Gauge(
            "gateway_backend_ready",
            "1 when the backend passed its last health check for the model, else 0.",
            ["backend", "model"],
            registry=self.registry,
        )
        self._retries = Counter(
            "gateway_retries", "Requests sent again to another backend.", ["reason"], registry=self.registry
        )
        self._rejected = Counter(
            "gateway_rejected", "Requests refused before they reached a backend.", ["reason"], registry=self.registry
        )
        build = Gauge("gateway_build_info", "Always 1; the labels tell the build.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)
        self._retries.labels("connect_failed")
        for reason in ("invalid_request", "too_large", "unsupported"):
            self._rejected.labels(reason)
        self._attempts = {name: AttemptMetrics(name, self._attempt_duration, self._in_flight) for name in backends}
        # (duration, overhead) by label values; resolving a child costs more than observing on it.
        self._requests: dict[tuple[str, str, str, str], tuple[Histogram, Histogram]] = {}

    def know(self, model: str) -> None:
        """Give ``model`` series of its own from now on."""
        self._models.add(model)

    def attempts(self, backend: str) -> AttemptMetrics:
        """The recorder for attempts on ``backend``."""
        return self._attempts[backend]

    def request_finished(
        self, protocol: str, model: str, backend: str, outcome: str, duration: float, overhead: float
    ) -> None:
        key = (protocol, model if model in self._models else OTHER, backend, outcome)
        children = self._requests.get(key)
        if children is None:
            children = (self._request_duration.labels(*key), self._overhead.labels(protocol, backend))
            self._requests[key] = children
        children[0].observe(duration)
        children[1].observe(overhead)

    def retried(self, reason: str) -> None:
        self._retries.labels(reason).inc()

    def rejected(self, reason: str) -> None:
        """Count a request that the front door refused."""
        self._rejected.labels(reason).inc()

    def backend_ready(self, backend: str, model: str, ready: bool) -> None:
        """Record the result of a health check."""
        self._ready.labels(backend, model).set(int(ready))

    def _histogram(self, name: str, text: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(name, text, labels, buckets=BUCKETS, registry=self.registry)
