"""Finds the way to a server's own counters."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.server_times.oip_statistics import OipStatistics
from loadtest.server_times.prometheus import Prometheus
from loadtest.server_times.snapshot import Probe
from loadtest.targets.target import Target


def probe_of(target: Target, models: Sequence[str]) -> Probe | None:
    """The reader of what ``target`` counts for ``models`` (names); None where it publishes nothing.

    ``target.metrics`` is ``oip+http://host:port`` (Triton's statistics extension) or ``prometheus+http://host:port/path``.
    """
    kind, _, url = target.metrics.partition("+")
    if kind == "oip":
        return OipStatistics(url.rstrip("/"), models, target.token)
    if kind == "prometheus":
        return Prometheus(url, models)
    return None
