"""Which framework is the fastest, in words."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.frameworks.evaluation import fastest
from loadtest.frameworks.results import FrameworkResult
from loadtest.statistics.estimate import Estimate
from loadtest.units import listed


def verdict(results: Sequence[FrameworkResult], batches: Sequence[int]) -> str:
    """One line a batch size at which at least two frameworks were measured; without any, nothing."""
    lines = [(batch, _line(results, batch)) for batch in batches]
    return "\n".join(f"Batch {batch}: {line}" for batch, line in lines if line)


def _line(results: Sequence[FrameworkResult], batch: int) -> str:
    best = fastest(results, batch)
    ratios = {one.framework: at.ratio for one in results if (at := one.at(batch)) and at.ratio is not None}
    if best is None or not ratios:
        return ""
    ordered = sorted(ratios.items(), key=lambda entry: entry[1].value)
    if any(ratio.interval is None for _, ratio in ordered):
        return "too few rounds to tell the frameworks apart."
    even = [framework for framework, ratio in ordered if not _slower(ratio)]
    slower = [(framework, ratio) for framework, ratio in ordered if _slower(ratio)]
    first = (
        f"no difference detected between {listed([best.framework, *even])}"
        if even
        else f"{best.framework} is the fastest"
    )
    if not slower:
        return f"{first}."
    framework, ratio = slower[0]
    return f"{first}; {framework} takes {times(ratio)} times as long."


def times(ratio: Estimate) -> str:
    """Such as ``1.45 (1.40–1.50)``."""
    if ratio.interval is None:
        return _number(ratio.value)
    return f"{_number(ratio.value)} ({_number(ratio.interval.low)}–{_number(ratio.interval.high)})"


def _slower(ratio: Estimate) -> bool:
    return ratio.interval is not None and ratio.interval.low > 1


def _number(value: float) -> str:
    """Three significant digits at least, and no more than two decimals."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"
