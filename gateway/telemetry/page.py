"""What a scraper of the metrics port reads: Prometheus' text, or OpenMetrics, which has the exemplars too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from gateway.telemetry.histogram import Histogram

_OPEN_METRICS = "application/openmetrics-text"


def render(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """All metrics of ``registry`` in the form that the header ``Accept`` asks for, and its content type."""
    encode, content_type = choose_encoder(accept)
    families = list(registry.collect())
    histograms = [family.samples for family in families if isinstance(family.samples, Histogram)]
    others = [family for family in families if not isinstance(family.samples, Histogram)]
    openly = content_type.startswith(_OPEN_METRICS)
    page = "".join([histogram.page(exemplars=openly) for histogram in histograms]).encode()
    return page + encode(_Families(others)), content_type


class _Families(Collector):
    """What is collected already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)
