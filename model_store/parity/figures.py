"""Numbers as people read them."""

from __future__ import annotations

import math

MISSING = "–"


def figure(value: float | int) -> str:
    """``value`` with three significant digits; whole numbers, which are exact, with all of theirs."""
    if isinstance(value, float) and math.isinf(value):
        return "∞"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def percent(share: float) -> str:
    """``share`` in percent, rounded down: 100 % is all of it."""
    return f"{math.floor(round(share * 1000, 6)) / 10:g} %"
