from __future__ import annotations

import pytest

from loadtest.search.duration import Durations
from loadtest.slo import parse_slo


def durations(slo: str) -> Durations:
    return Durations(slo=parse_slo(slo), least=5, most=60)


def test_ten_times_the_least_samples_tell_five_percent_apart() -> None:
    assert durations("p99<1ms").seconds(rate=500, distance=0.05) == pytest.approx(6620 / 500)


def test_half_the_distance_takes_four_times_the_samples() -> None:
    assert durations("p99<1ms").seconds(rate=1000, distance=0.025) == pytest.approx(26.48)


def test_there_are_always_samples_enough_to_show_the_percentile() -> None:
    assert durations("p99<1ms").seconds(rate=100, distance=1.0) == pytest.approx(13.24)


def test_errors_need_so_many_requests_that_one_may_fail() -> None:
    assert durations("errors<0.1%").seconds(rate=1000, distance=0.05) == 10


def test_a_growing_queue_reaches_the_limit() -> None:
    limit, distance = 0.5, 0.05
    seconds = durations("max<500ms").seconds(rate=10_000, distance=distance)
    assert distance * seconds == 2 * limit  # the backlog at the end of a trial at (1 + distance) times the capacity


def test_bounds() -> None:
    assert durations("p99<1ms").seconds(rate=1e6, distance=0.05) == 5
    assert durations("p99<1ms").seconds(rate=1, distance=0.05) == 60


def test_at_the_lowest_rate_the_longest_trial_shows_the_percentile() -> None:
    one = durations("p99.9<1ms")
    assert one.lowest_rate * one.most >= 2 * 6636
    assert one.seconds(one.lowest_rate, distance=1.0) == 60
