import random

import numpy as np
import pytest

from gateway.core.recent_latency import RecentLatency


def fed(percentile, seconds, now=0.0):
    latency = RecentLatency(percentile)
    for each in seconds:
        latency.add(each, now)
    return latency


def test_nothing_is_known_before_there_are_samples_beyond_the_percentile():
    assert fed(0.95, [0.01] * 95).value is None
    assert fed(0.95, [0.01] * 112).value is not None
    assert fed(0.99, [0.01] * 495).value is None
    assert fed(0.99, [0.01] * 512).value is not None


@pytest.mark.parametrize("percentile", [0.5, 0.9, 0.95, 0.99])
def test_the_percentile_is_at_most_a_tenth_too_large(percentile):
    numbers = random.Random(7)
    seconds = [numbers.lognormvariate(-5, 1) for _ in range(8000)]
    exact = np.percentile(seconds, 100 * percentile, method="inverted_cdf")
    assert exact <= fed(percentile, seconds).value <= 1.1 * exact


def test_the_median_of_two_values_is_the_lower_one():
    assert fed(0.5, [0.01] * 80 + [1.0] * 80).value < 0.011


def test_what_is_beyond_the_scale_counts_at_its_ends():
    assert fed(0.5, [0.0] * 160).value == 1e-5
    assert 30 < fed(0.5, [1e9] * 160).value < 50


def test_old_latencies_are_forgotten():
    latency = fed(0.95, [1.0] * 160)
    for second in range(30, 90):
        for _ in range(10):
            latency.add(0.01, float(second))
    assert latency.value < 0.011


def test_after_a_long_silence_it_knows_nothing():
    latency = fed(0.95, [1.0] * 160)
    latency.add(0.01, 1000.0)
    assert latency.value is None
