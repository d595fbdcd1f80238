from __future__ import annotations

import numpy as np
import pytest

from loadtest.schedule import poisson


def test_same_seed_same_arrivals() -> None:
    assert np.array_equal(poisson(500, 2, seed=3), poisson(500, 2, seed=3))
    assert not np.array_equal(poisson(500, 2, seed=3), poisson(500, 2, seed=4))


def test_gaps_are_exponential() -> None:
    gaps = np.diff(poisson(1000, 100, seed=5)) / 1e9
    count = len(gaps)
    assert gaps.mean() == pytest.approx(1e-3, rel=4 / np.sqrt(count))
    assert gaps.std() == pytest.approx(1e-3, rel=0.02)
    assert np.quantile(gaps, 0.99) == pytest.approx(-np.log(0.01) * 1e-3, rel=0.03)


def test_counts_vary_as_poisson_counts_do() -> None:
    counts = [len(poisson(50, 1, seed=seed)) for seed in range(2000)]
    assert np.mean(counts) == pytest.approx(50, rel=0.02)
    assert np.var(counts) == pytest.approx(50, rel=0.15)


def test_arrivals_are_in_order_and_in_time() -> None:
    due = poisson(1000, 0.5, seed=1)
    assert np.all(np.diff(due) >= 0)
    assert due[0] >= 0
    assert due[-1] < 0.5e9
