"""Servers that publish counters for Prometheus: TorchServe, TensorFlow Serving, and the gateway itself.

Each names its own series; which server it is shows in which of them are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from loadtest.server_times.fetch import fetch
from loadtest.server_times.snapshot import Snapshot

SOURCE = "Prometheus"
_MICROSECOND = 1e-6


class Prometheus:
    """Reads the counters of ``models`` (names) from the page at ``url``."""

    def __init__(self, url: str, models: Sequence[str]) -> None:
        self._url = url
        self._models = frozenset(models)

    async def read(self) -> Snapshot | None:
        """See ``Probe``."""
        bodies = await fetch([self._url])
        return None if bodies is None else parse(bodies[0], self._models)


def parse(page: bytes, models: Iterable[str]) -> Snapshot | None:
    """The counters on ``page`` for ``models``; None when it has none that are known."""
    try:
        samples = [one for family in text_string_to_metric_families(page.decode()) for one in family.samples]
    except (ValueError, KeyError, IndexError):  # what the parser raises on what it cannot read
        return None
    series = _Series(samples, frozenset(models))
    found = (read(series) for read in (_torchserve, _tensorflow_serving, _gateway))
    return next(filter(None, found), None)


class _Series:
    """Sums over the samples of one name."""

    def __init__(self, samples: Sequence[Sample], models: frozenset[str]) -> None:
        self._samples = samples
        self._models = models

    def __call__(self, name: str, model_label: str = "model_name") -> float | None:
        """Sum of those whose ``model_label`` is one of the models (any, without a label); None when there are none."""
        values = [
            sample.value
            for sample in self._samples
            if sample.name == name and (not model_label or sample.labels.get(model_label) in self._models)
        ]
        return sum(values) if values else None


def _torchserve(series: _Series) -> Snapshot | None:
    """Its latency is counted from the arrival of a request, so it holds the time in the queue.

    ``QueueTime``, ``HandlerTime`` and ``PredictionTime`` are gauges of the last request only: no sum comes of them.
    """
    requests = series("ts_inference_requests_total")
    latency = series("ts_inference_latency_microseconds_total")
    queue = series("ts_queue_latency_microseconds_total")
    if requests is None or latency is None or queue is None:
        return None
    seconds = {"queue": queue * _MICROSECOND, "compute": max(latency - queue, 0.0) * _MICROSECOND}
    return Snapshot(SOURCE, int(requests), seconds)


def _tensorflow_serving(series: _Series) -> Snapshot | None:
    """``request_latency`` is the whole call, ``runtime_latency`` the part in TensorFlow."""
    requests = series(":tensorflow:serving:request_latency_count")
    latency = series(":tensorflow:serving:request_latency_sum")
    if requests is None or latency is None:
        return None
    compute = series(":tensorflow:serving:runtime_latency_sum") or 0.0
    seconds = {"compute": compute * _MICROSECOND, "server": max(latency - compute, 0.0) * _MICROSECOND}
    return Snapshot(SOURCE, int(requests), seconds)


def _gateway(series: _Series) -> Snapshot | None:
    """The gateway's overhead is counted by backend, not by model."""
    requests = series("gateway_request_duration_seconds_count", "model")
    duration = series("gateway_request_duration_seconds_sum", "model")
    overhead = series("gateway_overhead_seconds_sum", "")
    if requests is None or duration is None or overhead is None:
        return None
    return Snapshot(SOURCE, int(requests), {"backend": max(duration - overhead, 0.0), "gateway": overhead})
