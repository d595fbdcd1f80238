import numpy as np

from loadtest.measure.reservoir import Reservoir


def sample(size, length, seed):
    reservoir = Reservoir(size, seed)
    for item in range(length):
        if reservoir.wants_next():
            reservoir.keep(item)
    return reservoir.items


def test_a_short_stream_is_kept_whole():
    assert sample(10, 10, seed=1) == list(range(10))
    assert sample(10, 3, seed=1) == [0, 1, 2]
    assert sample(10, 0, seed=1) == []


def test_the_size_is_a_bound_and_no_item_comes_twice():
    kept = sample(10, 10_000, seed=1)
    assert len(kept) == len(set(kept)) == 10


def test_every_item_has_the_same_chance():
    runs, size, length = 2000, 5, 50
    counts = np.bincount(np.concatenate([sample(size, length, seed) for seed in range(runs)]), minlength=length)
    expected = runs * size / length
    # χ² with 49 degrees of freedom exceeds 86 in one of a thousand seeds
    assert np.sum((counts - expected) ** 2 / expected) < 86


def test_it_asks_for_few_of_a_long_stream():
    reservoir, asked = Reservoir(10, 1), 0
    for item in range(100_000):
        if reservoir.wants_next():
            asked += 1
            reservoir.keep(item)
    assert asked < 200  # 10 · (1 + ln 10⁴) ≈ 102


def test_one_place_is_enough():
    assert len(sample(1, 1000, seed=3)) == 1


def test_the_seed_decides():
    assert sample(5, 1000, seed=1) == sample(5, 1000, seed=1) != sample(5, 1000, seed=2)
