"""Versions side by side on the page: how often each was chosen, how that ended, and how long the answers took."""

from prometheus_client import CollectorRegistry

from gateway.telemetry.routing_metrics import RoutingMetrics


def test_outcomes_are_counted_and_answers_timed_for_each_version_and_who_decided():
    registry = CollectorRegistry()
    metrics = RoutingMetrics(registry, (0.1, 1.0))
    for version, by, outcome, duration in [
        ("1", "versions", "ok", 0.05),
        ("1", "versions", "ok", 0.5),
        ("1", "versions", "overloaded", 0.001),
        ("2", "versions", "backend_error", 0.001),
        ("2", "rules.0", "ok", 0.05),
    ]:
        metrics.routed("m", version, by, outcome, duration)

    def value(name, **labels):
        return registry.get_sample_value(f"gateway_routed_{name}", {"model": "m", **labels})

    assert value("total", version="1", by="versions", outcome="ok") == 2
    assert value("total", version="1", by="versions", outcome="overloaded") == 1
    assert value("duration_seconds_sum", version="1", by="versions") == 0.55
    assert value("duration_seconds_bucket", version="1", by="versions", le="0.1") == 1
    assert value("duration_seconds_count", version="2", by="versions") is None  # it has answered nothing
    assert value("duration_seconds_count", version="2", by="rules.0") == 1
