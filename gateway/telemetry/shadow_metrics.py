"""The series of requests that were put to a second server too; see ``gateway.filters.mirror``."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter

from gateway.core.differences import Difference
from gateway.telemetry.histogram import Histogram

# Powers of ten; the first is for answers that are equal.
DIFFERENCE_BUCKETS = (0.0, *(10.0**power for power in range(-9, 4)))
_BEYOND = 1e9  # stands for infinity, which would make the sum useless for ever
_OUTCOMES = ("ok", "differs", "deadline_exceeded", "backend_error")
_REASONS = ("itself", "down", "busy", "full")


class TargetMetrics:
    """The recorder of one target of a model."""

    def __init__(self, model: str, target: str, metrics: ShadowMetrics) -> None:
        labels = model, target
        self._requests = {outcome: metrics.requests.labels(*labels, outcome) for outcome in _OUTCOMES}
        self._dropped = {reason: metrics.dropped.labels(*labels, reason) for reason in _REASONS}
        self._labels, self._all_requests = labels, metrics.requests
        self._first = metrics.duration.series(*labels, "primary")
        self._second = metrics.duration.series(*labels, "target")
        self._max_abs, self._max_rel = metrics.max_abs.series(*labels), metrics.max_rel.series(*labels)
        self._agreements = metrics.agreements.labels(*labels)
        self._disagreements = metrics.disagreements.labels(*labels)

    def copy_ended(self, outcome: str) -> None:
        if outcome not in self._requests:
            self._requests[outcome] = self._all_requests.labels(*self._labels, outcome)
        self._requests[outcome].inc()

    def copy_dropped(self, reason: str) -> None:
        self._dropped[reason].inc()

    def both_took(self, first: float, second: float) -> None:
        self._first.observe(first)
        self._second.observe(second)

    def both_answered(self, found: Sequence[Difference]) -> None:
        self._max_abs.observe(min(_BEYOND, max((each.max_abs for each in found), default=0.0)))
        self._max_rel.observe(min(_BEYOND, max((each.max_rel for each in found), default=0.0)))
        rows, agreeing = sum(each.rows for each in found), sum(each.agreeing for each in found)
        self._agreements.inc(agreeing)
        self._disagreements.inc(rows - agreeing)


class ShadowMetrics:
    """Makes the recorders; there is no series before there is a target."""

    def __init__(self, registry: CollectorRegistry, latency_buckets: Sequence[float]) -> None:
        target = ("model", "target")
        self.requests = Counter(
            "gateway_shadow_requests",
            "Copies of requests that were sent to a target too.",
            [*target, "outcome"],
            registry=registry,
        )
        self.dropped = Counter(
            "gateway_shadow_dropped", "Copies that were not sent.", [*target, "reason"], registry=registry
        )
        self.agreements = Counter(
            "gateway_shadow_top1_agreements", "Rows with the same best class.", target, registry=registry
        )
        self.disagreements = Counter(
            "gateway_shadow_top1_disagreements", "Rows with another best class.", target, registry=registry
        )
        self.duration = Histogram(
            "gateway_shadow_duration_seconds",
            "What both took for the same request, when both answered.",
            (*target, "side"),
            latency_buckets,
            registry,
        )
        self.max_abs = Histogram(
            "gateway_shadow_max_abs_diff",
            "Largest absolute difference between two answers.",
            target,
            DIFFERENCE_BUCKETS,
            registry,
        )
        self.max_rel = Histogram(
            "gateway_shadow_max_rel_diff",
            "The same as a share of the output's largest magnitude.",
            target,
            DIFFERENCE_BUCKETS,
            registry,
        )

    def of(self, model: str, target: str) -> TargetMetrics:
        """The recorder of ``target`` of ``model``."""
        return TargetMetrics(model, target, self)
