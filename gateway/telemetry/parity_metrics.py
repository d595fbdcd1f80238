"""The series of the parity watch: how far each backend's answers are from those of the model's source."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

_OUTCOMES = ("ok", "differs", "failed")


class ParityMetrics:
    """Differences are absolute, in the units of the model's outputs; infinite where an answer has another form."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._difference = Gauge(
            "gateway_parity_max_abs_diff",
            "Largest difference from the source's answer, at the last check.",
            ["model", "backend"],
            registry=registry,
        )
        self._tolerance = Gauge(
            "gateway_parity_tolerance", "Largest difference allowed there.", ["model", "backend"], registry=registry
        )
        self._checks = Counter(
            "gateway_parity_checks",
            "Answers held against the source's.",
            ["model", "backend", "outcome"],
            registry=registry,
        )

    def parity_checked(self, model: str, backend: str, outcome: str) -> None:
        """Count one check."""
        for each in _OUTCOMES:  # all three from the first check on, so that a rate can be taken
            self._checks.labels(model, backend, each).inc(each == outcome)

    def parity_now(self, found: Mapping[tuple[str, str], tuple[float, float]]) -> None:
        """Replace what the round before found: a backend that is gone must not alarm for ever."""
        self._difference.clear()
        self._tolerance.clear()
        for labels, (difference, allowed) in found.items():
            self._difference.labels(*labels).set(difference)
            self._tolerance.labels(*labels).set(allowed)
