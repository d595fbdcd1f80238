"""The series of requests for which the configuration decided where they go."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class RoutingMetrics:
    """Each version with its outcomes, so that a canary can be judged beside the version that it may replace."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._routed = Counter(
            "gateway_routed",
            "Requests whose version or backend a rule or the weights of versions decided.",
            ["model", "version", "by", "outcome"],
            registry=registry,
        )
        self._series: dict[tuple[str, str, str, str], Counter] = {}

    def routed(self, model: str, version: str, by: str, outcome: str) -> None:
        key = (model, version, by, outcome)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = self._routed.labels(*key)
        series.inc()
