"""The series of requests for which the configuration decided where they go."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from gateway.telemetry.histogram import Histogram


class RoutingMetrics:
    """Each version with its outcomes and durations, so that a canary can be judged beside what it may replace."""

    def __init__(self, registry: CollectorRegistry, latency_buckets: Sequence[float]) -> None:
        self._routed = Counter(
            "gateway_routed",
            "Requests whose version or backend a rule or the weights of versions decided.",
            ["model", "version", "by", "outcome"],
            registry=registry,
        )
        self._duration = Histogram(
            "gateway_routed_duration_seconds",
            "Those of them that were answered, from the moment the front door had them.",
            ("model", "version", "by"),
            latency_buckets,
            registry,
        )
        self._series: dict[tuple[str, str, str, str], Counter] = {}

    def routed(self, model: str, version: str, by: str, outcome: str, duration: float) -> None:
        key = (model, version, by, outcome)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._routed.labels(*key)
        series.inc()
        if outcome == "ok":  # what is refused at once would make its version look quick
            self._duration.series(model, version, by).observe(duration)
