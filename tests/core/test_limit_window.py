"""What a window tells, and how sure it is."""

import math
import random
from statistics import fmean, pstdev

import pytest

from gateway.core.limit_window import LimitWindow, gradient


def filled(limit, times, settling=0):
    window = LimitWindow(limit, 0.0, settling)
    for seconds in times:
        window.add(seconds)
    return window


def test_the_throughput_is_the_limit_by_the_latency():
    assert filled(8, [0.1, 0.3]).rate() == pytest.approx(math.log(8 / 0.2))


def test_what_began_before_does_not_count():
    window = filled(4, [9.0, 9.0, 9.0], settling=4)
    assert (window.count, window.settled) == (0, False)
    for seconds in (9.0, 0.5, 0.5):
        window.add(seconds)
    assert (window.count, window.settled) == (2, True)
    assert window.rate() == pytest.approx(math.log(4 / 0.5))


def queued(draw, limit, count):
    """Latencies behind one server: each is the sum of as many successive services."""
    services = [draw.expovariate(1) for _ in range(limit + count)]
    return [sum(services[number : number + limit]) for number in range(count)]


def alone(draw, limit, count):
    return [draw.expovariate(1) for _ in range(count)]


def in_batches(draw, limit, count):
    return [seconds for _ in range(count // limit) for seconds in [draw.expovariate(1)] * limit]


@pytest.mark.parametrize(("kind", "limit"), [(alone, 8), (queued, 8), (queued, 16), (in_batches, 8)])
def test_its_error_is_about_what_rates_of_such_windows_differ_by(kind, limit):
    draw = random.Random(1)
    windows = [filled(limit, kind(draw, limit, 30 * limit)) for _ in range(300)]
    real = pstdev(window.rate() for window in windows)
    told = math.sqrt(fmean(window.variance() for window in windows))
    assert 0.7 * real <= told <= 2.5 * real


def test_of_too_little_it_is_not_sure_at_all():
    assert filled(4, [0.1]).variance() == math.inf
    assert filled(4, [0.0, 0.0]).variance() == math.inf
    assert filled(4, [0.1, 0.1, 0.1]).variance() == 0


def test_the_gradient_is_the_share_of_a_change_that_comes_back():
    low = filled(4, [0.1] * 4)  # 40 a second
    assert gradient([low, filled(8, [0.1] * 8)])[0] == pytest.approx(1)
    assert gradient([filled(8, [0.2] * 8), low])[0] == pytest.approx(0)
    assert gradient([low, filled(8, [0.2] * 8), filled(8, [0.1] * 8), low])[0] == pytest.approx(0.5)


def test_more_windows_are_surer():
    draw = random.Random(2)
    one, other = (filled(limit, alone(draw, limit, 50)) for limit in (4, 8))
    assert gradient([one, other] * 2)[1] == pytest.approx(gradient([one, other])[1] / math.sqrt(2))
