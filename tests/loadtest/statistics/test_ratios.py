from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from loadtest.statistics.ratios import ratio_of_quantiles, ratio_of_rates

FloatArray = npt.NDArray[np.float64]


def segments(random: np.random.Generator, luck: FloatArray, count: int) -> list[FloatArray]:
    """Times of one target; what happens to the machine in a moment multiplies all of them, for both targets alike."""
    own = np.exp(0.02 * random.normal(size=luck.shape))
    return list(luck * own * random.lognormal(0, 0.3, size=(len(luck), count)))


def differences(seed: int, *, pairs: int, share: float, slower: float, count: int = 300, runs: int = 300) -> float:
    """How often a difference is found."""
    random = np.random.default_rng(seed)
    found = 0
    for _ in range(runs):
        luck = np.exp(0.1 * random.normal(size=(pairs, 1)))
        ratio = ratio_of_quantiles(segments(random, slower * luck, count), segments(random, luck, count), share)
        assert ratio.interval is not None
        found += not ratio.interval.holds(1)
    return found / runs


@pytest.mark.parametrize("pairs", [6, 10, 20])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_no_difference_is_seldom_called_one(pairs: int, share: float) -> None:
    assert differences(1, pairs=pairs, share=share, slower=1) <= 0.06


@pytest.mark.parametrize("pairs", [10, 20])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_difference_of_a_tenth_is_found(pairs: int, share: float) -> None:
    assert differences(2, pairs=pairs, share=share, slower=1.1, runs=50) >= 0.9


def test_a_tail_is_compared_as_well() -> None:
    assert differences(3, pairs=20, share=0.99, slower=1, count=500) <= 0.06
    assert differences(4, pairs=20, share=0.99, slower=1.3, count=500, runs=50) >= 0.95


def test_value_is_the_ratio_of_the_merged_percentiles() -> None:
    left = [np.arange(1, 11), np.arange(11, 101)]
    right = [np.arange(1, 5) * 2, np.arange(5, 101) * 2]
    assert ratio_of_quantiles(left, right, 0.9).value == 90 / 180


def test_moments_in_which_one_has_no_times_are_left_out() -> None:
    left = [np.full(100, 2.0), np.empty(0), np.full(100, 2.0)]
    right = [np.full(100, 1.0), np.full(100, 9.0), np.full(100, 1.0)]
    assert ratio_of_quantiles(left, right, 0.9).value == 2


def test_no_interval_from_five_pairs_or_a_tail_hardly_seen() -> None:
    random = np.random.default_rng(5)
    one, other = (list(random.exponential(size=(6, 300))) for _ in range(2))
    assert ratio_of_quantiles(one, other, 0.5).method == "jackknife"
    assert ratio_of_quantiles(one[:5], other[:5], 0.5).interval is None
    assert ratio_of_quantiles(one, other, 0.99).interval is None


def test_a_ratio_is_greyed_out_like_the_percentiles() -> None:
    random = np.random.default_rng(6)
    assert not ratio_of_quantiles([random.exponential(size=661)], [random.exponential(size=9999)], 0.99).enough
    assert ratio_of_quantiles([random.exponential(size=662)], [random.exponential(size=9999)], 0.99).enough


def test_swapping_the_targets_inverts_the_ratio() -> None:
    random = np.random.default_rng(7)
    one, other = (list(random.exponential(size=(8, 100))) for _ in range(2))
    forth, back = ratio_of_quantiles(one, other, 0.5), ratio_of_quantiles(other, one, 0.5)
    assert forth.interval is not None
    assert back.interval is not None
    assert forth.interval == pytest.approx((1 / back.interval.high, 1 / back.interval.low))


@pytest.mark.parametrize(("faster", "least", "most"), [(1.0, 0.03, 0.065), (1.1, 0.95, 1.0)])
def test_rates_of_the_same_moments(faster: float, least: float, most: float) -> None:
    random = np.random.default_rng(8)
    found = 0
    for _ in range(1000):
        luck = np.exp(0.2 * random.normal(size=8))
        one, other = (luck * np.exp(0.03 * random.normal(size=8)) for _ in range(2))
        ratio = ratio_of_rates(list(faster * one), list(other))
        assert ratio.interval is not None
        found += not ratio.interval.holds(1)
    assert least <= found / 1000 <= most


def test_a_target_that_answered_nothing_has_no_interval() -> None:
    assert ratio_of_rates([0.0] * 6, [5.0] * 6).interval is None
