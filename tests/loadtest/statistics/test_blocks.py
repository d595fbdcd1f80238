from __future__ import annotations

import numpy as np
import pytest
from support.steady_queues import mm1_responses

from loadtest.statistics.blocks import interleaved, spread_of_sum


def test_independent_samples_spread_as_their_variance_says() -> None:
    random = np.random.default_rng(1)
    samples = random.normal(size=(300, 3200))
    spreads = [spread_of_sum(row - row.mean(), [row]) for row in samples]
    variances = [spread.variance for spread in spreads if spread is not None]
    assert len(variances) >= 290
    # Neighbours that seem correlated by chance are joined, which makes the spread a little too wide, never too narrow.
    assert 0.98 < np.mean(variances) / 3200 < 1.12


def test_spread_within_a_run_is_that_between_runs() -> None:
    random = np.random.default_rng(2)
    sums = [float(np.sum(mm1_responses(random, 20_000, 0.5) - 2)) for _ in range(300)]
    spreads = []
    for _ in range(60):
        times = mm1_responses(random, 20_000, 0.5)
        spread = spread_of_sum(times - times.mean(), [times])
        assert spread is not None
        spreads.append(spread.variance)
    assert np.mean(spreads) / np.var(sums) == pytest.approx(1, abs=0.2)


def test_blocks_are_joined_until_neighbours_are_not_correlated() -> None:
    random = np.random.default_rng(3)
    wandering = np.repeat(random.normal(size=16), 200)  # 2 of 32 blocks share their luck, no 2 of 16
    spread = spread_of_sum(wandering - wandering.mean(), [wandering])
    assert spread is not None
    assert spread.freedom == 15


def test_nothing_is_said_of_a_run_that_only_drifts() -> None:
    drift = np.linspace(-1, 1, 1000)
    assert spread_of_sum(drift, [drift]) is None


def test_nothing_is_said_of_five_samples() -> None:
    assert spread_of_sum(np.array([1.0, -1, 1, -1, 0]), [np.empty(5)]) is None


def test_six_segments_are_blocks_each() -> None:
    segments = [
        np.full(length, level) for length, level in ((5, 1.0), (9, -1.0), (5, 2.0), (3, -2.0), (6, 1.0), (6, -1.0))
    ]
    spread = spread_of_sum(np.concatenate(segments), segments)
    assert spread is not None
    assert spread.freedom == 5
    assert spread.variance == pytest.approx(6 / 5 * (25 + 81 + 100 + 36 + 36 + 36))


def test_empty_segments_make_no_experiment() -> None:
    full = np.ones(3)
    assert interleaved([full] * 6)
    assert not interleaved([full] * 5 + [np.empty(0)])
