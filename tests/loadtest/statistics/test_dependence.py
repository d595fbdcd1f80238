from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from support.steady_queues import mm1_responses

from loadtest.statistics.dependence import centred_ranks, dependent


@pytest.mark.parametrize("count", [50, 1000])
def test_independent_samples_are_called_so(count: int) -> None:
    random = np.random.default_rng(1)
    assert np.mean([dependent(random.pareto(1.5, size=count)) for _ in range(1000)]) <= 0.05


@pytest.mark.parametrize(("load", "count"), [(0.5, 500), (0.8, 200), (0.9, 200)])
def test_response_times_of_a_queue_are_called_dependent(load: float, count: int) -> None:
    random = np.random.default_rng(2)
    assert np.mean([dependent(mm1_responses(random, count, load)) for _ in range(100)]) >= 0.99


def test_wandering_that_neighbours_hardly_show_is_found() -> None:
    random = np.random.default_rng(3)
    times = random.normal(size=20_000) + 0.1 * np.repeat(random.normal(size=10), 2000)
    assert dependent(times)


@pytest.mark.parametrize("times", [np.empty(0), np.ones(1), np.arange(10.0), np.ones(1000)])
def test_too_few_or_equal_samples_show_nothing(times: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    assert not dependent(times)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50))
def test_equal_values_share_their_rank(values: list[int]) -> None:
    expected = (rankdata(values) - 0.5) / len(values) - 0.5
    assert centred_ranks(np.array(values)) == pytest.approx(expected)
