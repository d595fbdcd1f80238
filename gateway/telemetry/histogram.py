"""Histograms that cost a request little and a scrape less.

prometheus_client's take a lock for every number and write every label of every line anew: the page of a few models
takes tens of milliseconds, during which nobody is answered. These belong to the event loop alone, and have everything
of a line ready but its number.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from operator import add
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import INF, floatToGoString

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Series:
    """The counts of one label set. ``bounds`` are the upper ends of the buckets, in the observed unit."""

    __slots__ = ("_bounds", "_counts", "_exemplars", "_heads", "_labels", "_name", "_sum")

    def __init__(self, name: str, labels: dict[str, str], bounds: Sequence[float]) -> None:
        self._name = name
        self._labels = labels
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._exemplars: dict[int, Exemplar] = {}
        self._heads = [f"{sample.name}{_braces(sample.labels)} " for sample in self.samples()]

    def observe(self, value: float, trace_id: str = "") -> None:
        """Count ``value``; a ``trace_id`` makes it the example that its bucket shows."""
        bucket = bisect_left(self._bounds, value)
        self._counts[bucket] += 1
        self._sum += value
        if trace_id:
            self._exemplars[bucket] = Exemplar({"trace_id": trace_id}, value, time.time())

    def samples(self) -> Iterator[Sample]:
        """The cumulative buckets, the count and the sum, in the order of ``lines``."""
        totals = list(accumulate(self._counts))
        for bucket, (bound, total) in enumerate(zip((*self._bounds, INF), totals, strict=True)):
            labels = {**self._labels, "le": floatToGoString(bound)}  # type: ignore[no-untyped-call]
            yield Sample(f"{self._name}_bucket", labels, total, None, self._exemplars.get(bucket))
        yield Sample(f"{self._name}_count", self._labels, totals[-1])
        yield Sample(f"{self._name}_sum", self._labels, self._sum)

    def lines(self, *, exemplars: bool) -> str:
        """The same in the words of a page; ``exemplars`` are OpenMetrics' alone."""
        totals = list(accumulate(self._counts))
        values = [*map(str, totals), str(totals[-1]), repr(self._sum)]
        if exemplars:
            for bucket, example in self._exemplars.items():
                values[bucket] += f" # {_braces(example.labels)} {example.value!r} {example.timestamp:.3f}"
        return "\n".join(map(add, self._heads, values)) + "\n"


class Histogram(Collector):
    """All label sets of one histogram; ``bounds`` are the upper ends of its buckets, without the infinite one."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self.name = name
        self.text = text
        self.label_names = tuple(labels)
        self._bounds = bounds
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def series(self, *labels: str) -> Series:
        """The series of these label values, which exists from now on."""
        found = self._series.get(labels)
        if found is None:
            by_name = dict(zip(self.label_names, labels, strict=True))
            found = self._series[labels] = Series(self.name, by_name, self._bounds)
        return found

    def page(self, *, exemplars: bool) -> str:
        """Everything a scraper reads of it."""
        head = f"# HELP {self.name} {self.text}\n# TYPE {self.name} histogram\n"
        return head + "".join([series.lines(exemplars=exemplars) for series in self._series.values()])

    def __iter__(self) -> Iterator[Sample]:
        for series in self._series.values():
            yield from series.samples()

    def describe(self) -> list[Metric]:
        """Its name, for the registry to refuse a second one."""
        return [Metric(self.name, self.text, "histogram")]

    def collect(self) -> list[Metric]:
        """One family, whose samples are made only for who reads them one by one; see ``gateway.telemetry.page``."""
        family = Metric(self.name, self.text, "histogram")
        family.samples = cast("list[Sample]", self)
        return [family]


def _braces(labels: dict[str, str]) -> str:
    pairs = [f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}" if pairs else ""
