"""Has it become slower since the baseline? For continuous integration (``--baseline old.json``)."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.measure.summary import Row
from loadtest.report.differences import common_rows, differences
from loadtest.report.digest import Digest
from loadtest.units import percent

TOLERANCE = 0.1


def regressions(new: Digest, baseline: Digest, tolerance: float = TOLERANCE) -> tuple[str, ...]:
    """A sentence for each number that is worse by more than ``tolerance`` and whose intervals do not overlap.

    What cannot be compared is a violation too, so that a run that measured nothing does not pass.
    """
    return tuple(_violations(new, baseline, tolerance))


def _violations(new: Digest, baseline: Digest, tolerance: float) -> Iterator[str]:
    pairs = list(common_rows(baseline, new))
    if not pairs:
        yield "the baseline has no target and load in common with this run"
    unusable = set()
    for before, after in pairs:
        if reason := _unusable(before, after):
            unusable.add((after.load.spec, after.name))
            yield f"{after.name} under {after.load.spec}: {reason}"
    for one in differences(baseline, new):
        if (one.load, one.target) not in unusable and one.detected and one.loss > tolerance:
            yield f"{one.sentence}; the tolerance is {percent(tolerance)}"


def _unusable(before: Row, after: Row) -> str:
    if before.invalid:
        return f"the baseline is INVALID, measure it anew: {before.invalid[0]}"
    if after.invalid:
        return f"this run is INVALID: {after.invalid[0]}"
    if before.requests and not after.requests:
        return f"has no good answer any more: {after.problem or 'all requests failed'}"
    return ""
