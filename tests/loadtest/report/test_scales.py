from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report.scales import LinearScale, LogScale, linear_ticks, log_ticks


def test_log_scale() -> None:
    scale = LogScale(0.001, 0.1, 0, 100)
    assert [scale(value) for value in (0.001, 0.01, 0.1)] == pytest.approx([0, 50, 100])
    assert LogScale(1, 1, 0, 100)(1) == 50


def test_linear_scale() -> None:
    scale = LinearScale(10, 20, 300, 100)
    assert [scale(value) for value in (10, 15, 20)] == pytest.approx([300, 200, 100])
    assert LinearScale(1, 1, 0, 100)(1) == 50


def test_ticks_are_round() -> None:
    assert log_ticks(0.0015, 0.021) == pytest.approx([0.002, 0.005, 0.01, 0.02])
    assert linear_ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert linear_ticks(0.93, 1.31) == pytest.approx([1.0, 1.1, 1.2, 1.3])


def test_narrow_range_has_ticks() -> None:
    assert log_ticks(1.01, 1.35) == pytest.approx([1.1, 1.2, 1.3])


@given(st.floats(1e-6, 1e6), st.floats(1.001, 1e9))
def test_every_range_has_some_ticks_and_all_lie_in_it(low: float, factor: float) -> None:
    high = low * factor
    for ticks in (log_ticks(low, high), linear_ticks(low, high)):
        assert 2 <= len(ticks) <= 24
        assert ticks == sorted(set(ticks))
        assert all(low * 0.998 <= tick <= high * 1.002 for tick in ticks)
