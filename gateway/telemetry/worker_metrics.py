"""The series of the process that looks after several workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge


class WorkerMetrics:
    """``count`` tells, whenever somebody asks, how many workers are in one of ``states``.

    Restarts are counted by which of ``reasons`` they have.
    """

    def __init__(self, states: Iterable[str], reasons: Iterable[str], count: Callable[[str], int]) -> None:
        self.registry = CollectorRegistry()
        workers = Gauge("gateway_workers", "Worker processes of this gateway.", ["state"], registry=self.registry)
        for state in states:
            workers.labels(state).set_function(partial(count, state))
        restarts = Counter(
            "gateway_worker_restarts", "Workers started in place of others.", ["reason"], registry=self.registry
        )
        self._restarts = {reason: restarts.labels(reason) for reason in reasons}

    def restarted(self, reason: str) -> None:
        """One more, because of ``reason``."""
        self._restarts[reason].inc()
