import math
import random

import pytest

from model_store.calibration.choice import bound_of_median, choose


def noisy(center, rounds=40, seed=1, spread=0.1):
    source = random.Random(seed)
    return [center * (1 + spread * source.random()) for _ in range(rounds)]


def test_a_clearly_faster_candidate_is_chosen():
    assert choose([[noisy(1.0), noisy(0.6, seed=2)], [noisy(8.0), noisy(6.0, seed=3)]]) == 1


def test_the_fastest_of_several_is_chosen():
    assert choose([[noisy(1.0), noisy(0.8, seed=2), noisy(0.5, seed=3)]]) == 2


def test_noise_alone_changes_nothing():
    picked = [choose([[noisy(1.0, seed=2 * seed), noisy(1.0, seed=2 * seed + 1)]]) for seed in range(50)]
    assert picked == [0] * 50


def test_a_gain_below_the_margin_changes_nothing():
    assert choose([[noisy(1.0, spread=0), noisy(0.97, spread=0)]]) == 0


def test_a_gain_that_larger_batches_pay_for_changes_nothing():
    assert choose([[noisy(1.0), noisy(0.6)], [noisy(8.0, spread=0), noisy(8.5, spread=0)]]) == 0


def test_a_machine_that_slows_down_slows_all_down():
    load = [1 + (index % 7) for index in range(30)]
    assert choose([[[1.0 * slow for slow in load], [0.8 * slow for slow in load]]]) == 1


def test_few_rounds_prove_nothing():
    assert choose([[[1.0] * 4, [0.5] * 4]]) == 0
    assert choose([[[1.0] * 5, [0.5] * 5]]) == 1


@pytest.mark.parametrize(("count", "place"), [(5, 1), (8, 2), (20, 6), (100, 42)])
def test_the_bound_of_a_median_is_the_one_in_the_tables(count, place):
    values = [*range(count)]
    assert bound_of_median(values) == sorted(values, reverse=True)[place - 1]


def test_four_values_bound_no_median():
    assert bound_of_median([1, 2, 3, 4]) == math.inf
