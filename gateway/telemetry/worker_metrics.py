"""The series of the process that looks after several workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge


class WorkerMetrics:
    """``count`` tells, whenever somebody asks, how many workers are in one of ``states``."""

    def __init__(self, states: Iterable[str], count: Callable[[str], int]) -> None:
        self.registry = CollectorRegistry()
        workers = Gauge("gateway_workers", "Worker processes of this gateway.", ["state"], registry=self.registry)
        for state in states:
            workers.labels(state).set_function(partial(count, state))
        restarts = Counter("gateway_worker_restarts", "Workers started in place of others.", registry=self.registry)
        self.restarted: Callable[[], None] = restarts.inc
