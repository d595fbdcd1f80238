"""The series of what a process is too busy for: its limit, only while there is one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class CrowdMetrics(Collector):
    """Tells what ``watch`` is given, whenever somebody asks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._limit: Callable[[], float] = lambda: math.inf
        registry.register(self)

    def watch(self, limit: Callable[[], float]) -> None:
        """``limit`` says how many requests may be under way on a port now; infinite where nothing limits them."""
        self._limit = limit

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "gateway_crowd_limit",
            "Requests that may be under way on a port, only while more are asked for than the process can do.",
        )
        limit = self._limit()
        if limit < math.inf:
            family.add_metric([], limit)
        yield family
