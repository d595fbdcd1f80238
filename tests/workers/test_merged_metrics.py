"""Pages of several workers as one, read by Prometheus' own parsers."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gateway.telemetry.metrics import GatewayMetrics
from gateway.telemetry.page import render
from gateway.telemetry.worker_metrics import WorkerMetrics
from gateway.workers.merged_metrics import merge
from gateway.workers.worker_slot import Reason, WorkerState

TEXT, OPEN = "text/plain", "application/openmetrics-text; version=1.0.0"
PARSERS = {TEXT: parse_text, OPEN: parse_openmetrics}


def worker(requests):
    """The metrics of a worker that answered so many."""
    metrics = GatewayMetrics(["b"], ["m"])
    for _ in range(requests):
        metrics.request_finished("oip-http", "m", "b", "ok", 0.01, 0.001, "4bf92f3577b34da6a3ce929d0e0e4736")
    for _ in range(2 * requests):
        metrics.rejected("invalid_request")
    return metrics.registry


def merged(accept, *registries, own=None):
    own = own or WorkerMetrics(WorkerState, Reason, lambda state: int(state == "ready")).registry
    first = render(own, accept)[0].decode()
    text = merge(first, {index: render(each, accept)[0].decode() for index, each in enumerate(registries)})
    return text + "# EOF\n" if accept == OPEN else text


def samples(accept, text):
    families = list(PARSERS[accept](text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))  # a family that came in two parts would be there twice
    found = {}
    for family in families:
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found
            found[key] = sample
    return found


def total(found, name, **labels):
    """The sum over all workers."""
    wanted = labels.items()
    return sum(each.value for (key, pairs), each in found.items() if key == name and wanted <= set(pairs))


@pytest.mark.parametrize("accept", [TEXT, OPEN])
def test_every_family_is_there_once_and_sums_are_exact(accept):
    found = samples(accept, merged(accept, worker(3), worker(5)))
    assert total(found, "gateway_request_duration_seconds_count", model="m") == 8
    assert total(found, "gateway_request_duration_seconds_bucket", model="m", le="+Inf") == 8
    assert total(found, "gateway_request_duration_seconds_bucket", model="m", le="0.008") == 0
    assert total(found, "gateway_request_duration_seconds_sum", model="m") == pytest.approx(0.08)
    assert total(found, "gateway_rejected_total", reason="invalid_request", worker="0") == 6
    assert total(found, "gateway_rejected_total", reason="invalid_request", worker="1") == 10
    assert total(found, "gateway_workers", state="ready") == 1
    assert {worker for _, pairs in found for key, worker in pairs if key == "worker"} == {"0", "1"}


def test_types_help_and_examples_stay():
    text = merged(OPEN, worker(1), worker(1))
    families = {family.name: family for family in parse_openmetrics(text)}
    duration = families["gateway_request_duration_seconds"]
    assert duration.type == "histogram"
    assert duration.documentation.startswith("Whole requests")
    examples = [sample for sample in duration.samples if sample.exemplar]
    assert [sample.labels["worker"] for sample in examples] == ["0", "1"]
    assert examples[0].exemplar.labels == {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}


@pytest.mark.parametrize("accept", [TEXT, OPEN])
def test_labels_and_help_of_any_content_survive(accept):
    odd = 'a "b"\\ {c}\n# TYPE d e, f=" '
    registry = CollectorRegistry()
    Gauge("g", f"Help {odd}", ["x"], registry=registry).labels(odd).set(1.5)
    Gauge("plain", "No labels.", registry=registry).set(2)
    found = samples(accept, merged(accept, registry, registry))
    for index in ("0", "1"):
        assert found["g", (("worker", index), ("x", odd))].value == 1.5
        assert found["plain", (("worker", index),)].value == 2


@pytest.mark.parametrize("accept", [TEXT, OPEN])
def test_what_the_parent_tells_it_tells_for_all(accept):
    own, others = CollectorRegistry(), CollectorRegistry()
    Counter("c", "Of the parent.", registry=own).inc(3)
    Counter("c", "Of a worker.", registry=others).inc(9)
    Counter("d", "Of a worker.", registry=others).inc(1)
    found = samples(accept, merged(accept, others, own=own))
    assert {name: each.value for (name, _), each in found.items()} == {"c_total": 3, "d_total": 1}


@pytest.mark.parametrize("accept", [TEXT, OPEN])
def test_without_any_worker_it_is_the_parents_page(accept):
    own = WorkerMetrics(WorkerState, Reason, lambda _: 0).registry
    assert merged(accept, own=own) == render(own, accept)[0].decode()
