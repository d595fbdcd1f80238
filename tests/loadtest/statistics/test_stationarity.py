from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from support.steady_queues import mm1_responses

from loadtest.statistics.stationarity import Stationarity, stationarity

FloatArray = npt.NDArray[np.float64]
COUNT = 5000
RUN = np.linspace(0, 1, COUNT)


def judge(times: FloatArray, segments: int = 1) -> Stationarity:
    verdict = stationarity(np.array_split(times, segments))
    assert verdict is not None
    return verdict


STEADY: dict[str, Callable[[np.random.Generator], FloatArray]] = {
    "exponential": lambda random: random.exponential(size=COUNT),
    "infinite variance": lambda random: random.pareto(1.1, size=COUNT),
    "queue at 50 %": lambda random: mm1_responses(random, COUNT, 0.5),
    "queue at 80 %": lambda random: mm1_responses(random, 2 * COUNT, 0.8),
}


@pytest.mark.parametrize("segments", [1, 10])
@pytest.mark.parametrize("kind", STEADY)
def test_a_steady_server_is_called_steady(kind: str, segments: int) -> None:
    random = np.random.default_rng(1)
    assert np.mean([judge(STEADY[kind](random), segments).steady for _ in range(200)]) >= 0.95


@pytest.mark.parametrize("segments", [1, 10])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (1 + 0.2 * RUN, "rose"),
        (1 - 0.2 * RUN, "fell"),
        (1 + 0.15 * (RUN > 0.6), "rose"),
    ],
    ids=["drift up", "drift down", "step"],
)
def test_a_drifting_server_is_called_unsteady(change: FloatArray, words: str, segments: int) -> None:
    random = np.random.default_rng(2)
    verdicts = [judge(random.lognormal(0, 0.3, size=COUNT) * change, segments) for _ in range(50)]
    found = [verdict for verdict in verdicts if not verdict.steady]
    assert len(found) >= 48
    assert all(verdict.p_value < 0.02 for verdict in found)
    assert all(verdict.reason.startswith(f"the median {words} by ") for verdict in found)


def test_a_drift_of_a_tenth_is_found_among_times_that_hardly_vary() -> None:
    random = np.random.default_rng(3)
    verdicts = [judge(random.lognormal(0, 0.1, size=COUNT) * (1 + 0.1 * RUN)) for _ in range(50)]
    assert np.mean([not verdict.steady for verdict in verdicts]) >= 0.95


@pytest.mark.parametrize("cycles", [3, 7.5, 20])
def test_periodic_degradation_is_called_unsteady(cycles: float) -> None:
    random = np.random.default_rng(4)
    wave = 1 + 0.15 * np.sin(2 * np.pi * cycles * RUN)
    verdicts = [judge(random.lognormal(0, 0.3, size=COUNT) * wave) for _ in range(50)]
    assert np.mean([not verdict.steady for verdict in verdicts]) >= 0.95


def test_slow_phases_are_called_unsteady() -> None:
    random = np.random.default_rng(5)
    slow = 1 + 0.3 * ((4 * RUN) % 1 < 0.3)
    verdicts = [judge(random.lognormal(0, 0.3, size=COUNT) * slow) for _ in range(50)]
    assert np.mean([not verdict.steady for verdict in verdicts]) >= 0.9
    assert "the median rose and fell by" in verdicts[0].reason


def test_a_hump_is_described() -> None:
    times = np.random.default_rng(6).lognormal(0, 0.1, size=COUNT) * (1 + 0.2 * (np.abs(RUN - 0.35) < 1 / 6))
    verdict = judge(times)
    assert not verdict.steady
    assert verdict.reason.startswith("the median ")


def test_a_significant_change_too_small_to_matter_is_none() -> None:
    times = np.random.default_rng(7).lognormal(0, 0.1, size=500_000) * (1 + 0.01 * np.linspace(0, 1, 500_000))
    verdict = judge(times)
    assert verdict.p_value < 0.01
    assert verdict.steady
    assert verdict.reason.startswith("medians of parts of the run differ by ")


def test_equal_times_are_steady() -> None:
    assert judge(np.full(COUNT, 2.0)) == (True, 1.0, "parts of the run differ by no more than chance has it")


def test_too_few_to_say() -> None:
    assert stationarity([]) is None
    assert stationarity([np.empty(0)]) is None
    assert stationarity([np.ones(639)]) is None
    assert stationarity([np.ones(100)] * 5) is None
