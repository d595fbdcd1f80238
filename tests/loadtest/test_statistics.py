from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.statistics import Interval, interval_ranks, percentile, quantile_interval, shown_percentile


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99, 0.999]))
def test_percentile_is_numpys_inverted_cdf(values: list[float], share: float) -> None:
    ordered = np.sort(values)
    assert percentile(ordered, share) == np.quantile(ordered, share, method="inverted_cdf")


def test_percentile_needs_enough_samples() -> None:
    least = {0.9: 64, 0.95: 130, 0.99: 662, 0.999: 6636}
    for share, count in least.items():
        assert shown_percentile(np.arange(count - 1), share) is None
        assert shown_percentile(np.arange(count), share) is not None


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
    samples = random.exponential(size=(2000, 120))
    intervals = [quantile_interval(row, share) for row in samples]
    covered = sum(interval is not None and interval.low <= truth <= interval.high for interval in intervals)
    assert 0.94 <= covered / 2000 <= 0.985  # at least 95 % by construction; the ranks are discrete


def test_interval_of_blocks_covers_when_samples_drift_together() -> None:
    """Requests of one block share its luck, so only the blocks' medians are independent."""
    random = np.random.default_rng(2)
    by_samples = by_blocks = 0
    for _ in range(500):
        blocks = random.normal(size=(10, 1)) + random.normal(size=(10, 50))
        naive = quantile_interval(blocks.ravel())
        honest = quantile_interval(np.median(blocks, axis=1))
        assert naive is not None
        assert honest is not None
        by_samples += naive.low <= 0 <= naive.high
        by_blocks += honest.low <= 0 <= honest.high
    assert by_samples / 500 < 0.6
    assert by_blocks / 500 >= 0.95


def test_intervals_overlap_when_they_share_a_point() -> None:
    assert Interval(1, 2).overlaps(Interval(2, 3))
    assert Interval(2, 3).overlaps(Interval(1, 2))
    assert not Interval(1, 2).overlaps(Interval(2.1, 3))


def test_no_interval_from_nothing() -> None:
    assert quantile_interval([]) is None
