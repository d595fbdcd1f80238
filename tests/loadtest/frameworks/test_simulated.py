"""What comes of frameworks whose truth is known, with the real statistics and seeded times."""

from __future__ import annotations

import numpy as np
import pytest
from support.framework_results import FakeRace

from loadtest.frameworks.validity import judge
from loadtest.frameworks.verdict import verdict

ROUNDS, LENGTH = 20, 50


def times_us(median: float, seed: int, drift: float = 0.0) -> list[list[int]]:
    """Skewed times; the last round is ``drift`` slower than the first."""
    random = np.random.default_rng(seed)
    rounds = median * random.lognormal(0, 0.2, (ROUNDS, LENGTH)) * np.linspace(1, 1 + drift, ROUNDS)[:, None]
    return rounds.astype(int).tolist()


def outcome(frameworks: dict[str, list[list[int]]]) -> tuple[str, tuple[str, ...]]:
    race = FakeRace()
    for framework, rounds in frameworks.items():
        race.add(framework, {1: rounds})
    judged = judge([*race.evaluated(1).values()], 0.0)
    return verdict(judged.results, (1,)), judged.warnings


@pytest.mark.parametrize("seed", range(5))
def test_a_difference_of_a_fifth_is_found(seed: int) -> None:
    said, warnings = outcome(
        {"PyTorch": times_us(12_000, 100 + seed), "ONNX Runtime": times_us(10_000, 200 + seed)},
    )
    assert said.startswith("Batch 1: ONNX Runtime is the fastest; PyTorch takes 1.")
    assert warnings == ()


def test_equal_frameworks_are_told_apart_no_more_often_than_promised() -> None:
    said = [
        outcome({"PyTorch": times_us(10_000, seed), "Keras": times_us(10_000, 1000 + seed)})[0] for seed in range(60)
    ]
    told_apart = sum("no difference detected between" not in line for line in said)
    assert told_apart <= 7  # of 60 at 5 %: more than 7 in one of a hundred such samples


def test_a_drift_is_found_and_still_no_difference_made_of_it() -> None:
    said, warnings = outcome({"PyTorch": times_us(10_000, 1, drift=1.0), "Keras": times_us(10_000, 2, drift=1.0)})
    assert "no difference detected" in said
    assert len(warnings) == 2
    assert warnings[0].startswith("PyTorch, batch 1: the median rose by ")
