"""The series of what was sent to a second backend: retries and hedges."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

# What servers do on their worst days; other reasons appear with their first retry.
_REASONS = ("attempt_timeout", "backend_error", "connect_failed", "connection_lost", "overloaded")


class RetryMetrics:
    """One for all models: a retry storm is an affair of the whole process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        retries = Counter("gateway_retries", "Requests sent again to another backend.", ["reason"], registry=registry)
        hedges = Counter(
            "gateway_hedges",
            "Requests sent to a second backend because the first took long.",
            ["outcome"],
            registry=registry,
        )
        self._retries = retries
        for reason in _REASONS:
            retries.labels(reason)
        self._exhausted = Counter(
            "gateway_retries_exhausted", "Requests not sent again because the budget was used up.", registry=registry
        )
        self._hedges = {won: hedges.labels("won" if won else "lost") for won in (True, False)}

    def retried(self, reason: str) -> None:
        self._retries.labels(reason).inc()

    def retry_refused(self) -> None:
        self._exhausted.inc()

    def hedged(self, *, won: bool) -> None:
        self._hedges[won].inc()
