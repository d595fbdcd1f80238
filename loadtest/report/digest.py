"""A report with its statistics, computed once for every table, picture and export that is made from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loadtest.load.loads import AnyLoad
from loadtest.measure.summarise import summarise
from loadtest.measure.summary import Row
from loadtest.measure.verdict import Verdict, verdict
from loadtest.results.report import Report


@dataclass(slots=True, frozen=True)
class LoadDigest:
    """One load of a report: a row for each target, in the report's order."""

    load: AnyLoad
    rows: tuple[Row, ...]
    verdict: Verdict


@dataclass(slots=True, frozen=True)
class Digest:
    """A report and its loads, in the report's order."""

    report: Report
    loads: tuple[LoadDigest, ...]

    def rows(self) -> Iterator[tuple[AnyLoad, Row]]:
        """Every row with its load."""
        for one in self.loads:
            for row in one.rows:
                yield one.load, row

    @property
    def valid(self) -> bool:
        """Whether no gate of any row failed; of a search, which judges each of its trials, whether it has an answer."""
        if self.report.search is not None:
            return self.report.search.low > 0 or self.report.search.high is not None
        return not any(row.invalid for _, row in self.rows())


def digest(report: Report) -> Digest:
    """Compute all statistics of ``report``."""
    loads = []
    for load in report.loads:
        rows = tuple(summarise(report, load))
        loads.append(LoadDigest(load, rows, verdict(rows)))
    return Digest(report, tuple(loads))
