"""Which target is faster, by how much, and how sure that is.

Each target is compared with the best one, block by block: blocks of one round ran next to each other in time, so that
what changes on the machine cancels out. The best was picked by looking at the data, so the intervals must hold for
every pair of targets at once: they are widened by Bonferroni's rule for the number of pairs (on the logarithm of the
ratio, by Student's quantiles, from which they were made). A difference is detected when the interval lies above 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from loadtest.clock import NS
from loadtest.load.loads import OpenLoop
from loadtest.measure.rates import block_rate
from loadtest.measure.summarise import settled_columns
from loadtest.measure.summary import Row
from loadtest.results.block import Struct
from loadtest.statistics.blocks import LEAST_BLOCKS
from loadtest.statistics.estimate import CONFIDENCE, Estimate, Interval
from loadtest.statistics.ratios import ratio_of_quantiles, ratio_of_rates
from loadtest.units import listed

Metric = Literal["p50", "p99", "throughput"]

# Targets that the sentence compares one by one.
_TOLD = 3
_TITLES: dict[Metric, str] = {"p50": "Median response time", "p99": "p99 response time", "throughput": "Throughput"}


class Comparison(Struct, frozen=True, kw_only=True):
    """One target against the best.

    Attributes:
        target: its name.
        ratio: how many times as fast the best is (the target's time over its, or its throughput over the target's),
            with a simultaneous interval; None where the paired blocks give none.
        blocks: pairs of blocks it comes from.
        detected: whether a difference is established.
        sentence: the same for people.
    """

    target: str
    ratio: Estimate | None
    blocks: int
    detected: bool
    sentence: str


class MetricVerdict(Struct, frozen=True, kw_only=True):
    """All targets against the ``best`` in one metric; ``comparisons`` from the nearest to the farthest."""

    metric: Metric
    best: str
    comparisons: tuple[Comparison, ...]
    sentence: str


class Verdict(Struct, frozen=True, kw_only=True):
    """What a comparison under one load found.

    Attributes:
        load: its spec; empty when there is nothing.
        metrics: one for each metric that can be compared.
        left_out: why targets take no part, by name.
        method: what the intervals are, in one sentence; empty when nothing is compared.
    """

    load: str
    metrics: tuple[MetricVerdict, ...]
    left_out: dict[str, str]
    method: str

    @property
    def sentences(self) -> tuple[str, ...]:
        """The whole verdict in words; the reasons for what is left out stand among the notes."""
        told = tuple(metric.sentence for metric in self.metrics)
        return (*told, f"Not compared: {listed([*self.left_out])}") if self.left_out else told


def verdict(rows: Sequence[Row]) -> Verdict:
    """Compare the targets of ``rows``, all under one load."""
    left_out = {row.name: reason for row in rows if (reason := _unfit(row))}
    fit = [row for row in rows if row.name not in left_out]
    rounds = {row.name: _rounds(row) for row in fit}
    compared = (_compare(measure, fit, rounds) for measure in _measures(fit))
    metrics = tuple(metric for metric in compared if metric is not None)
    return Verdict(
        load=rows[0].load.spec if rows else "",
        metrics=metrics,
        left_out=left_out,
        method=_method(len(fit)) if any(one.ratio for metric in metrics for one in metric.comparisons) else "",
    )


@dataclass(slots=True, frozen=True)
class _Measured:
    """What is compared of a block: good answers a second, and their response times in seconds."""

    rate: float
    times: npt.NDArray[np.float64]


# Blocks by restart and repetition.
_Rounds = dict[tuple[int, int], _Measured]


@dataclass(slots=True, frozen=True)
class _Measure:
    """One metric: its value in a row, whether more of it is better, and the best's advantage in paired blocks."""

    metric: Metric
    value: Callable[[Row], float | None]
    more_is_better: bool
    advantage: Callable[[Sequence[_Measured], Sequence[_Measured]], Estimate]


def _measures(rows: Sequence[Row]) -> list[_Measure]:
    measures = [
        _Measure("p50", lambda row: _percentile(row, 0.5), False, _time_ratio(0.5)),
        _Measure("p99", lambda row: _percentile(row, 0.99), False, _time_ratio(0.99)),
    ]
    # In an open loop all of them have the throughput that was asked for.
    if rows and not isinstance(rows[0].load, OpenLoop):
        measures.append(_Measure("throughput", _throughput, True, _throughput_ratio))
    return measures


def _compare(measure: _Measure, rows: Sequence[Row], rounds: Mapping[str, _Rounds]) -> MetricVerdict | None:
    values = {row.name: (value, row) for row in rows if (value := measure.value(row)) is not None}
    if len(values) < 2:
        return None
    ordered = sorted(values.values(), key=lambda entry: entry[0], reverse=measure.more_is_better)
    best, *others = (row.name for _, row in ordered)
    pairs = len(values) * (len(values) - 1) // 2
    comparisons = tuple(_against_best(measure, best, other, rounds, pairs) for other in others)
    return MetricVerdict(
        metric=measure.metric,
        best=best,
        comparisons=comparisons,
        sentence=_sentence(measure.metric, best, comparisons),
    )


def _against_best(measure: _Measure, best: str, other: str, rounds: Mapping[str, _Rounds], pairs: int) -> Comparison:
    ours, theirs = _paired(rounds[best], rounds[other])
    if len(ours) < LEAST_BLOCKS:
        sentence = f"{len(ours)} paired blocks are too few to tell it from {other} ({LEAST_BLOCKS} are needed)"
        return Comparison(target=other, ratio=None, blocks=len(ours), detected=False, sentence=sentence)
    found = measure.advantage(ours, theirs)
    if found.interval is None:
        sentence = f"the paired blocks do not tell it from {other}"
        return Comparison(target=other, ratio=None, blocks=len(ours), detected=False, sentence=sentence)
    low, high = interval = _simultaneous(found.value, found.interval, pairs, len(ours))
    ratio = Estimate(value=found.value, interval=interval, method=found.method, enough=found.enough)
    detected = low > 1
    if detected:
        as_good = "as much as" if measure.more_is_better else "as fast as"
        sentence = f"{found.value:.3g} times ({low:.3g}–{high:.3g}) {as_good} {other}"
    else:
        sentence = _no_difference(best, [_equal(other, ratio)])
    return Comparison(target=other, ratio=ratio, blocks=len(ours), detected=detected, sentence=sentence)


def _sentence(metric: Metric, best: str, comparisons: Sequence[Comparison]) -> str:
    beaten = [one for one in comparisons if one.detected]
    equal = [_equal(one.target, one.ratio) for one in comparisons if one.ratio is not None and not one.detected]
    unknown = [one.target for one in comparisons if one.ratio is None]
    parts = [f"{best} is best, {_beaten(beaten)}"] if beaten else []
    if equal:
        parts.append(_no_difference(best, equal))
    if unknown:
        parts.append(f"too few paired blocks or times to tell {best} from {listed(unknown)}")
    return f"{_TITLES[metric]}: {'; '.join(parts)}"


def _beaten(comparisons: Sequence[Comparison]) -> str:
    """The nearest ones in full, the range of the others."""
    count = _TOLD if len(comparisons) > _TOLD + 1 else len(comparisons)
    told, others = comparisons[:count], [one.ratio.value for one in comparisons[count:] if one.ratio]
    sentences = [one.sentence for one in told]
    if others:
        sentences.append(f"{min(others):.3g} to {max(others):.3g} times as good as the other {len(others)}")
    return listed(sentences)


def _no_difference(best: str, others: Sequence[str]) -> str:
    return f"no difference detected between {best} and {listed(others)}"


def _equal(target: str, ratio: Estimate) -> str:
    interval = f", {ratio.interval.low:.3g}–{ratio.interval.high:.3g}" if ratio.interval else ""
    return f"{target} (ratio {ratio.value:.3g}{interval})"


def _paired(ours: _Rounds, theirs: _Rounds) -> tuple[list[_Measured], list[_Measured]]:
    """The blocks of the rounds in which both gave good answers."""
    common = sorted(ours.keys() & theirs.keys())
    return [ours[key] for key in common], [theirs[key] for key in common]


def _rounds(row: Row) -> _Rounds:
    """The row's blocks with good answers, without the warm-up, by restart and repetition."""
    blocks = [block for block in row.target.blocks if block.load == row.load.spec]
    columns, _ = settled_columns(blocks, row.load)
    return {
        (block.restart, block.repetition): _Measured(block_rate(block), settled.response_time / NS)
        for block, settled in zip(blocks, columns, strict=True)
        if len(settled.response_time)
    }


def _unfit(row: Row) -> str:
    if row.problem or row.invalid:
        return row.problem or f"INVALID: {row.invalid[0]}"
    return "" if row.requests else "no good answers"


def _percentile(row: Row, share: float) -> float | None:
    estimate = row.response.percentiles.get(share)
    return estimate.value if estimate is not None and estimate.enough else None


def _throughput(row: Row) -> float | None:
    return row.throughput.value if row.throughput else None


def _time_ratio(share: float) -> Callable[[Sequence[_Measured], Sequence[_Measured]], Estimate]:
    def ratio(best: Sequence[_Measured], other: Sequence[_Measured]) -> Estimate:
        return ratio_of_quantiles([one.times for one in other], [one.times for one in best], share)

    return ratio


def _throughput_ratio(best: Sequence[_Measured], other: Sequence[_Measured]) -> Estimate:
    return ratio_of_rates([one.rate for one in best], [one.rate for one in other])


def _simultaneous(ratio: float, interval: Interval, pairs: int, blocks: int) -> Interval:
    """The ``interval`` of a ``ratio`` from so many ``blocks``, wide enough for ``pairs`` of them to hold at once."""
    error = (1 - CONFIDENCE) / 2
    widening = special.stdtrit(blocks - 1, 1 - error / pairs) / special.stdtrit(blocks - 1, 1 - error)
    low, high = (ratio * float((end / ratio) ** widening) if end > 0 else end for end in interval)
    return Interval(low, high)


def _method(targets: int) -> str:
    pairs = targets * (targets - 1) // 2
    together = f", {CONFIDENCE:.0%} for all {pairs} pairs of targets together (Bonferroni)" if pairs > 1 else ""
    return f"Ratios of blocks of the same rounds with {CONFIDENCE:.0%} intervals{together}."
