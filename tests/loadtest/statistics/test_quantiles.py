from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.statistics.estimate import Interval
from loadtest.statistics.quantiles import LEAST_SAMPLES, interval_ranks, least_samples, percentile, quantile_interval


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 0.999]))
def test_percentile_is_numpys_inverted_cdf(values: list[float], share: float) -> None:
    ordered = np.sort(values)
    assert percentile(ordered, share) == np.quantile(ordered, share, method="inverted_cdf")


def test_least_samples_are_those_of_mlperf_loadgen() -> None:
    assert LEAST_SAMPLES == {0.5: 11, 0.9: 64, 0.95: 130, 0.99: 662, 0.999: 6636}


@given(st.floats(0.01, 0.9999))
def test_least_samples_rule_out_a_server_that_barely_fails(share: float) -> None:
    """With that many requests, at most one exceeds its limit in at most 1 % of runs; with one fewer in more."""

    def at_most_one_exceeds(count: int) -> float:
        return share**count + count * (1 - share) * share ** (count - 1)

    least = least_samples(share)
    assert at_most_one_exceeds(least) <= 0.01 * (1 + 1e-9)
    assert least == 2 or at_most_one_exceeds(least - 1) > 0.01 * (1 - 1e-9)


# From the binomial distribution: the widest ranks that leave at most 2.5 % on either side.
@pytest.mark.parametrize(("count", "ranks"), [(5, None), (6, (0, 5)), (10, (1, 8)), (20, (5, 14)), (100, (39, 60))])
def test_median_ranks_are_the_textbook_ones(count: int, ranks: tuple[int, int] | None) -> None:
    assert interval_ranks(count, 0.5) == ranks


def test_ranks_are_those_of_exact_arithmetic() -> None:
    count, share, tail = 700, Fraction(99, 100), Fraction(1, 40)
    chances = [math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(count + 1)]
    below = list(itertools.accumulate(chances))
    low = max(k for k in range(count) if below[k] <= tail)
    high = min(k for k in range(count) if 1 - below[k] <= tail)
    assert interval_ranks(700, 0.99) == (low, high)


def test_ranks_of_a_million_samples_follow_the_normal_approximation() -> None:
    ranks = interval_ranks(1_000_000, 0.5)
    assert ranks is not None
    assert ranks == pytest.approx((500_000 - 980, 500_000 + 980), abs=2)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_interval_covers_the_truth_of_a_skewed_distribution(share: float) -> None:
    random = np.random.default_rng(1)
    truth = -np.log1p(-share)  # quantile of the exponential distribution
    intervals = [quantile_interval(row, share) for row in random.exponential(size=(2000, 120))]
    covered = sum(interval is not None and interval.holds(truth) for interval in intervals)
    assert 0.94 <= covered / 2000 <= 0.985  # at least 95 % by construction; the ranks are discrete


def test_intervals_overlap_when_they_share_a_point() -> None:
    assert Interval(1, 2).overlaps(Interval(2, 3))
    assert Interval(2, 3).overlaps(Interval(1, 2))
    assert not Interval(1, 2).overlaps(Interval(2.1, 3))


def test_no_interval_from_nothing() -> None:
    assert quantile_interval([]) is None
