"""May the numbers be trusted?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from loadtest.frameworks.evaluation import segments
from loadtest.frameworks.results import BatchResult, FrameworkResult
from loadtest.statistics.stationarity import Stationarity, stationarity

# Shares of the CPU time that others may have taken.
_MOST_STOLEN = 0.02
_MOST_WAITED = 0.05
# All tests of one run together call a steady run unsteady this often.
_LEVEL = 0.05

_Tests = dict[tuple[str, int], Stationarity]


class Judgement(NamedTuple):
    """What came of judging.

    Attributes:
        results: with what is known of their steadiness.
        invalid: why they must not be trusted.
        warnings: drifts. The frameworks took turns, so a drift of the machine hit all of them alike and leaves their
            ratios right, whose intervals come from the rounds.
    """

    results: tuple[FrameworkResult, ...]
    invalid: tuple[str, ...]
    warnings: tuple[str, ...]


def judge(results: Sequence[FrameworkResult], stolen_cpu: float) -> Judgement:
    """Whether ``results`` can be trusted."""
    tests: _Tests = {
        (one.framework, at.batch): found
        for one in results
        for at in one.batches
        if (found := stationarity(segments(at))) is not None
    }
    judged = tuple(
        msgspec.structs.replace(
            one,
            batches=tuple(_with_steadiness(at, tests.get((one.framework, at.batch)), len(tests)) for at in one.batches),
        )
        for one in results
    )
    drifts = tuple(
        f"{one.framework}, batch {at.batch}: {tests[one.framework, at.batch].reason}"
        for one in judged
        for at in one.batches
        if at.steady is False
    )
    return Judgement(judged, tuple(_reasons(judged, stolen_cpu)), drifts)


def _with_steadiness(result: BatchResult, found: Stationarity | None, tests: int) -> BatchResult:
    """Bonferroni's correction: of fifteen tests at the 5 % level, every second run would fail one by chance."""
    if found is None:
        return result
    return msgspec.structs.replace(result, steady=found.steady or found.p_value >= _LEVEL / tests)


def _reasons(results: Sequence[FrameworkResult], stolen_cpu: float) -> Iterator[str]:
    if stolen_cpu > _MOST_STOLEN:
        yield f"the host gave {stolen_cpu:.1%} of the CPU time to other guests; at most {_MOST_STOLEN:.0%} is good"
    waits = [(one.framework, one.waited) for one in results if one.batches and one.waited is not None]
    if any(waited > _MOST_WAITED for _, waited in waits):
        shares = ", ".join(f"{framework} {waited:.0%}" for framework, waited in waits)
        yield f"other processes had the CPU for part of the time ({shares}); at most {_MOST_WAITED:.0%} is good"
    for one in results:
        for at in one.batches:
            if at.warm_up is None:
                yield f"{one.framework}, batch {at.batch}: the times never settled before the rounds began"
