"""The Prometheus metrics of a gateway process.

Units are seconds and bytes. Series exist from the start with zero where their labels are known; models that the
gateway does not know collapse to ``_OTHER``, so that nobody can grow the registry with made-up names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from gateway import __version__
from gateway.core.catalog import Catalog
from gateway.core.replicas import ReplicaControl, ReplicaState
from gateway.telemetry.admission_metrics import AdmissionMetrics
from gateway.telemetry.cache_metrics import CacheMetrics
from gateway.telemetry.crowd_metrics import CrowdMetrics
from gateway.telemetry.histogram import Histogram, Series
from gateway.telemetry.queue_metrics import SLOW_BUCKETS, QueueMetrics
from gateway.telemetry.retry_metrics import RetryMetrics
from gateway.telemetry.routing_metrics import RoutingMetrics
from gateway.telemetry.shadow_metrics import ShadowMetrics

# gRPC's latency buckets (proposal A66), trimmed to 10 µs … 10 s.
BUCKETS = (
    1e-05, 5e-05, 1e-04, 3e-04, 6e-04, 8e-04, 1e-03, 2e-03, 3e-03, 4e-03, 5e-03, 6e-03, 8e-03, 1e-02, 1.3e-02,
    1.6e-02, 2e-02, 2.5e-02, 3e-02, 4e-02, 5e-02, 6.5e-02, 8e-02, 1e-01, 1.3e-01, 1.6e-01, 2e-01, 2.5e-01, 3e-01,
    4e-01, 5e-01, 6.5e-01, 8e-01, 1.0, 2.0, 5.0, 10.0,
)  # fmt: skip
BYTE_BUCKETS = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8)
OTHER = "_OTHER"
CLOSED, SUSPECT, OPEN = range(3)

# A second series per child, of use only to a scraper that cannot see a restart; Prometheus can.
disable_created_metrics()  # type: ignore[no-untyped-call]


class AttemptMetrics:
    """The attempt series of one backend."""

    def __init__(self, backend: str, durations: Histogram, in_flight: Gauge) -> None:
        self._backend = backend
        self._durations = durations
        self._in_flight = 0
        in_flight.labels(backend).set_function(lambda: self._in_flight)
        self._series = {outcome: durations.series(backend, outcome) for outcome in ("ok", "connect_failed")}

    def attempt_started(self) -> None:
        self._in_flight += 1

    def attempt_finished(self, outcome: str, duration: float, trace_id: str = "") -> None:
        self._in_flight -= 1
        series = self._series.get(outcome)
        if series is None:
            series = self._series[outcome] = self._durations.series(self._backend, outcome)
        series.observe(duration, trace_id)


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
        self._payload = self._histogram(
            "gateway_payload_bytes",
            "Tensors of a request and of its answer, as bytes in memory.",
            ("protocol", "direction"),
            BYTE_BUCKETS,
        )
        loop_lag = self._histogram(
            "gateway_event_loop_lag_seconds", "How late the event loop ran what was due.", (), SLOW_BUCKETS
        )
        attempt_duration = self._histogram(
            "gateway_attempt_duration_seconds", "Attempts on a backend, next to the wire.", ("backend", "outcome")
        )
        in_flight = self._gauge("gateway_inflight_requests", "Attempts in flight on a backend.", "backend")
        self._ready = self._gauge(
            "gateway_backend_ready",
            "1 when the backend passed its last health check for the model, else 0.",
            "backend",
            "model",
        )
        self._circuit = self._gauge(
            "gateway_circuit_state",
            "0 while a backend gets its share, 1 while others are preferred, "
            "2 while it gets nothing unless all are out.",
            "backend",
        )
        self._rejected = Counter(
            "gateway_rejected", "Requests refused before they reached a backend.", ["reason"], registry=self.registry
        )
        self._replicas = self._gauge(
            "gateway_backend_replicas", "Servers behind the name of a backend.", "backend", "state"
        )
        self._gauge("gateway_build_info", "Always 1; the labels tell the build.", "version").labels(__version__).set(1)
        for reason in ("invalid_request", "too_large", "unsupported", "crowded"):
            self._rejected.labels(reason)
        self._turned_away = self._rejected.labels("crowded")
        self.queues = QueueMetrics(self.registry)
        self.retries = RetryMetrics(self.registry)
        self.routing = RoutingMetrics(self.registry, BUCKETS)
        self.cache = CacheMetrics(self.registry)
        self.admission = AdmissionMetrics(self.registry)
        self.crowd = CrowdMetrics(self.registry)
        self.shadow = ShadowMetrics(self.registry, BUCKETS)
        self._attempts = {name: AttemptMetrics(name, attempt_duration, in_flight) for name in backends}
        # By label values; resolving a series costs more than observing on it.
        self._requests: dict[tuple[str, str, str, str], tuple[Series, Series]] = {}
        self._payloads: dict[str, tuple[Series, Series]] = {}
        self.loop_lagged = loop_lag.series().observe

    def know(self, model: str) -> None:
        """Give ``model`` series of its own from now on."""
        self._models.add(model)

    def attempts(self, backend: str) -> AttemptMetrics:
        """The recorder for attempts on ``backend``."""
        return self._attempts[backend]

    def watch_replicas(self, backend: str, replicas: ReplicaControl) -> None:
        """Count the servers of ``backend`` in each state, whenever somebody asks."""
        for state in ReplicaState:
            self._replicas.labels(backend, state.value).set_function(partial(_count_replicas, replicas, state))

    def watch_circuits(self, catalog: Catalog) -> None:
        """Tell how far each backend is trusted with the models of ``catalog``, whenever somebody asks."""
        for backend in self._attempts:
            self._circuit.labels(backend).set_function(partial(_circuit_state, catalog, backend))

    def request_finished(
        self,
        protocol: str,
        model: str,
        backend: str,
        outcome: str,
        duration: float,
        overhead: float,
        trace_id: str = "",
    ) -> None:
        key = (protocol, model if model in self._models else OTHER, backend, outcome)
        series = self._requests.get(key)
        if series is None:
            series = (self._request_duration.series(*key), self._overhead.series(protocol, backend))
            self._requests[key] = series
        series[0].observe(duration, trace_id)
        series[1].observe(overhead)

    def payload(self, protocol: str, received: int, sent: int | None) -> None:
        series = self._payloads.get(protocol)
        if series is None:
            series = (self._payload.series(protocol, "in"), self._payload.series(protocol, "out"))
            self._payloads[protocol] = series
        series[0].observe(received)
        if sent is not None:
            series[1].observe(sent)

    def rejected(self, reason: str) -> None:
        """Count a request that the front door refused."""
        self._rejected.labels(reason).inc()

    def turned_away(self) -> None:
        """Count a request that was refused before anything was made of it, because there are too many."""
        self._turned_away.inc()

    def backend_ready(self, backend: str, model: str, ready: bool) -> None:
        """Record the result of a health check."""
        self._ready.labels(backend, model).set(int(ready))

    def _histogram(self, name: str, text: str, labels: tuple[str, ...], bounds: Sequence[float] = BUCKETS) -> Histogram:
        return Histogram(name, text, labels, bounds, self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)


def _count_replicas(replicas: ReplicaControl, state: ReplicaState) -> int:
    return sum(status.state is state for status in replicas.statuses().values())


def _circuit_state(catalog: Catalog, backend: str) -> int:
    """A backend is open when it is trusted with none of its models, and suspect as soon as one is in doubt."""
    states = [
        endpoint.circuit.state(endpoint.clock()) or (SUSPECT if endpoint.suspect else CLOSED)
        for model in catalog
        for endpoint in model.endpoints
        if endpoint.backend == backend and endpoint.healthy
    ]
    return OPEN if min(states, default=OPEN) == OPEN else min(max(states), SUSPECT)
