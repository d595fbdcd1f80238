from __future__ import annotations

import pytest

from loadtest.statistics.estimate import Interval
from loadtest.units import millisecond_interval, milliseconds, per_second, percent, percentile_name


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0.000"),
        (0.00012345, "0.123"),
        (0.0012, "1.20"),
        (0.0123, "12.3"),
        (1.5, "1,500"),
        (0.00099999996, "1.00"),
        (-0.0002, "-0.200"),
    ],
)
def test_milliseconds(seconds: float | None, text: str) -> None:
    assert milliseconds(seconds) == text


def test_intervals_in_milliseconds() -> None:
    assert millisecond_interval(Interval(0.001, 0.0205)) == "1.00–20.5"
    assert millisecond_interval(None) == "–"


@pytest.mark.parametrize(
    ("rate", "text"),
    [(None, "–"), (0.12345, "0.123"), (4.0, "4.00"), (45.67, "45.7"), (123.4, "123"), (12345.0, "12,345")],
)
def test_per_second(rate: float | None, text: str) -> None:
    assert per_second(rate) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.00034, "0.034 %"), (0.012, "1.2 %"), (0.456, "46 %"), (1.0, "100 %")]
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(("share", "name"), [(0.5, "p50"), (0.999, "p99.9"), (1.0, "p100")])
def test_percentile_name(share: float, name: str) -> None:
    assert percentile_name(share) == name
