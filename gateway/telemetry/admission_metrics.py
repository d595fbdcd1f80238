"""The series of admission; none for a model whose requests are all let in."""

from __future__ import annotations

from itertools import product
from typing import Protocol
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.telemetry.histogram import Histogram
from gateway.telemetry.queue_metrics import SLOW_BUCKETS

_REASONS = ("full", "displaced", "wait", "deadline", "queue_timeout")
_PRIORITIES = ("critical", "default", "sheddable")


class Gate(Protocol):
    """Where the requests of one version of a model are let in."""

    in_flight: int

    @property
    def limit(self) -> int:
        """How many may be under way now."""

    @property
    def waiting(self) -> int:
        """How many wait now."""


class ModelAdmissionMetrics:
    """The recorder of one model; a gate that is watched counts for as long as it lives."""

    def __init__(self, model: str, waits: Histogram, refused: Counter) -> None:
        self.waited = waits.series(model).observe
        self._refused = {
            (reason, priority): refused.labels(model, reason, priority)
            for reason, priority in product(_REASONS, _PRIORITIES)
        }
        self._gates: WeakSet[Gate] = WeakSet()

    def refused(self, reason: str, criticality: str) -> None:
        self._refused[reason, criticality].inc()

    def watch(self, gate: Gate) -> None:
        """Count ``gate`` too."""
        self._gates.add(gate)

    def limit(self) -> int:
        return sum(gate.limit for gate in self._gates)

    def in_flight(self) -> int:
        return sum(gate.in_flight for gate in self._gates)

    def waiting(self) -> int:
        return sum(gate.waiting for gate in self._gates)


class AdmissionMetrics:
    """Makes the recorders, one for all versions of a model."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._waits = Histogram(
            "gateway_admission_wait_seconds",
            "Waiting to be admitted, of the requests that had to and were.",
            ("model",),
            SLOW_BUCKETS,
            registry,
        )
        self._refused = Counter(
            "gateway_admission_refused",
            "Requests that were not admitted.",
            ["model", "reason", "priority"],
            registry=registry,
        )
        self._limit = Gauge(
            "gateway_admission_limit", "Requests that may be under way at once.", ["model"], registry=registry
        )
        self._in_flight = Gauge(
            "gateway_admission_in_flight", "Admitted requests that are under way.", ["model"], registry=registry
        )
        self._waiting = Gauge(
            "gateway_admission_waiting", "Requests that wait to be admitted.", ["model"], registry=registry
        )
        self._models: dict[str, ModelAdmissionMetrics] = {}

    def of(self, model: str) -> ModelAdmissionMetrics:
        """The recorder of ``model``."""
        if model in self._models:
            return self._models[model]
        metrics = self._models[model] = ModelAdmissionMetrics(model, self._waits, self._refused)
        self._limit.labels(model).set_function(metrics.limit)
        self._in_flight.labels(model).set_function(metrics.in_flight)
        self._waiting.labels(model).set_function(metrics.waiting)
        return metrics
