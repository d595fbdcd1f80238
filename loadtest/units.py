"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.statistics.estimate import Interval

MISSING = "–"


def milliseconds(seconds: float | None) -> str:
    """``seconds`` in ms with three significant digits, such as 0.123, 1.23, 12.3 or 123; a dash for None."""
    if seconds is None:
        return MISSING
    value = round(seconds * 1000, 3)
    decimals = next((digits for digits, limit in ((3, 1), (2, 9.995), (1, 99.95)) if abs(value) < limit), 0)
    return f"{value:,.{decimals}f}"


def millisecond_interval(interval: Interval | None) -> str:
    """``interval`` (seconds) in ms; a dash for None."""
    return MISSING if interval is None else f"{milliseconds(interval.low)}–{milliseconds(interval.high)}"


def per_second(rate: float | None) -> str:
    """A rate with three significant digits or all its integer digits; a dash for None."""
    if rate is None:
        return MISSING
    return f"{rate:,.0f}" if rate >= 99.95 else f"{rate:#.3g}"


def percent(share: float) -> str:
    """A share in percent with two significant digits, or all its integer digits."""
    value = share * 100
    return f"{value:.2g} %" if abs(value) < 9.95 else f"{value:,.0f} %"


def percentile_name(share: float) -> str:
    """Such as p50 or p99.9."""
    return f"p{share * 100:g}"


def listed(words: Sequence[str]) -> str:
    """Such as ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
