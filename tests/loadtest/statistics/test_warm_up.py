from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from support.steady_queues import mm1_responses

from loadtest.statistics.warm_up import warm_up_length

FloatArray = npt.NDArray[np.float64]

STEADY: dict[str, Callable[[np.random.Generator, int], FloatArray]] = {
    "exponential": lambda random, count: random.exponential(size=count),
    "infinite variance": lambda random, count: random.pareto(1.1, size=count),
    "queue at 50 %": lambda random, count: mm1_responses(random, count, 0.5),
    "queue at 80 %": lambda random, count: mm1_responses(random, count, 0.8),
}


@pytest.mark.parametrize("count", [100, 10_000])
@pytest.mark.parametrize("kind", ["exponential", "infinite variance"])
def test_independent_samples_lose_almost_nothing(kind: str, count: int) -> None:
    random = np.random.default_rng(1)
    lengths = [warm_up_length(STEADY[kind](random, count)) for _ in range(100)]
    assert lengths.count(None) <= 5
    assert sum(length for length in lengths if length) < 0.01 * 100 * count


@pytest.mark.parametrize("kind", ["queue at 50 %", "queue at 80 %"])
def test_a_steady_queue_loses_almost_nothing(kind: str) -> None:
    random = np.random.default_rng(2)
    lengths = [warm_up_length(STEADY[kind](random, 10_000)) for _ in range(100)]
    assert lengths.count(None) <= 1
    assert sum(length for length in lengths if length) < 0.01 * 100 * 10_000


@pytest.mark.parametrize("count", [500, 5000, 50_000])
@pytest.mark.parametrize(("share", "slower"), [(0.05, 3.0), (0.1, 1.5), (0.4, 1.5)])
def test_a_slow_start_is_found(count: int, share: float, slower: float) -> None:
    random = np.random.default_rng(3)
    times = random.lognormal(0, 0.3, size=count)
    times[: int(share * count)] *= slower
    length = warm_up_length(times)
    assert length is not None
    assert share * count * 0.8 - 5 <= length <= share * count * 1.2 + 50


def test_a_start_that_fades_is_left_out_until_it_does_not_matter() -> None:
    random = np.random.default_rng(4)
    fading = 3 * np.exp(-np.arange(10_000) / 300)
    length = warm_up_length(random.lognormal(0, 0.3, size=10_000) * (1 + fading))
    assert length is not None
    assert fading[length] < 0.3
    assert length < 3000


def test_a_server_that_is_faster_at_first_has_a_warm_up_too() -> None:
    times = np.random.default_rng(5).lognormal(0, 0.3, size=5000)
    times[:250] /= 3
    length = warm_up_length(times)
    assert length is not None
    assert 240 <= length <= 300


@pytest.mark.parametrize("place", [0, 2000, 4999])
def test_one_outlier_costs_next_to_nothing(place: int) -> None:
    times = np.random.default_rng(6).lognormal(0, 0.3, size=5000)
    times[place] = 1e9
    length = warm_up_length(times)
    assert length is not None
    assert length <= 5


def test_a_first_request_among_constant_times_costs_one_batch() -> None:
    assert warm_up_length(np.array([5.0] + [1.0] * 4999)) == 5


def test_a_change_after_the_middle_never_settles() -> None:
    times = np.random.default_rng(7).lognormal(0, 0.3, size=5000)
    times[:3000] *= 3
    assert warm_up_length(times) is None


def test_integer_nanoseconds_will_do() -> None:
    times = np.random.default_rng(8).integers(1_000_000, 2_000_000, size=5000)
    times[:500] += 5_000_000
    assert warm_up_length(times) == 500


@pytest.mark.parametrize("count", [0, 1, 49])
def test_too_few_samples_lose_none(count: int) -> None:
    assert warm_up_length(np.arange(count)) == 0
