"""The series of changes of the configuration at run time."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

PATCH = "patch"
_TRIGGERS = ("api", "file", PATCH, "signal")
_OUTCOMES = ("applied", "refused", "unchanged")


class ReloadMetrics:
    """The hash is a number of 48 bits: the same in every gateway that obeys the same configuration."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._reloads = Counter(
            "gateway_config_reloads",
            "Changes of the configuration that were asked for while the gateway ran.",
            ["trigger", "outcome"],
            registry=registry,
        )
        for trigger in _TRIGGERS:
            for outcome in _OUTCOMES:
                self._reloads.labels(trigger, outcome)
        self._successful = Gauge(
            "gateway_config_last_reload_successful",
            "0 when the file was refused the last time that it was read, else 1.",
            registry=registry,
        )
        self._successful.set(1)
        self._hash = Gauge(
            "gateway_config_hash", "A number that stands for the configuration in force.", registry=registry
        )

    def asked(self, trigger: str, outcome: str) -> None:
        """Count one, which was ``applied``, ``refused`` or without effect (``unchanged``)."""
        self._reloads.labels(trigger, outcome).inc()
        if trigger != PATCH:  # what somebody mistypes says nothing of the file
            self._successful.set(outcome != "refused")

    def obeyed(self, number: int) -> None:
        """From now on, a configuration with that hash is in force."""
        self._hash.set(number)
