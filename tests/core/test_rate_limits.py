import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.rate_limits import Rate, RateLimits


def limits(per_second=10.0, burst=5, named=None, tracked=100):
    return RateLimits(Rate(per_second, burst), named or {}, tracked)


def granted(limited, client, now, wanted=100):
    return sum(limited.take(client, now) == 0 for _ in range(wanted))


def test_a_burst_and_then_the_rate():
    limited = limits()
    assert granted(limited, "a", 1.0) == 5
    assert granted(limited, "a", 1.1) == 1
    assert granted(limited, "a", 1.35) == 2
    assert granted(limited, "a", 1000.0) == 5


def test_what_is_missing_is_when_it_may_ask_again():
    limited = limits()
    granted(limited, "a", 0.0)
    missing = limited.take("a", 0.04)
    assert missing == pytest.approx(0.06)
    assert limited.take("a", 0.04 + missing - 0.001) > 0
    assert limited.take("a", 0.04 + missing) == 0


def test_each_client_has_its_own():
    limited = limits(named={"slow": Rate(1, 1), "quick": Rate(1000, 50)})
    assert [granted(limited, name, 0.0) for name in ("a", "b", "slow", "quick", "")] == [5, 5, 1, 50, 5]


def test_without_a_default_only_the_named_are_limited():
    limited = RateLimits(None, {"slow": Rate(1, 2)}, 100)
    assert granted(limited, "a", 0.0) == 100
    assert granted(limited, "slow", 0.0) == 2
    assert len(limited) == 1


def test_as_many_as_wanted_are_remembered_and_those_the_longest_that_ask():
    limited = limits(tracked=3)
    granted(limited, "greedy", 0.0)
    for number in range(1000):
        limited.take(f"client {number}", 0.0)
        assert limited.take("greedy", 0.0) > 0  # asking in vain is no way to be forgotten
    assert len(limited) == 3


def test_what_is_left_goes_on_where_the_rate_does():
    before = limits(named={"slow": Rate(1, 1), "quick": Rate(1000, 50)})
    for client in ("a", "slow", "quick"):
        granted(before, client, 0.0)
    after = RateLimits(Rate(10, 5), {"slow": Rate(1, 1), "quick": Rate(1000, 60)}, 100, before)
    assert [granted(after, client, 0.0) for client in ("a", "slow", "quick", "b")] == [0, 0, 60, 5]
    assert [granted(after, client, 0.1) for client in ("a", "slow")] == [1, 0]
    other = RateLimits(Rate(20, 5), {"slow": Rate(1, 1)}, 100, before)
    assert [granted(other, client, 0.0) for client in ("a", "slow", "quick")] == [5, 0, 5]


def test_fewer_that_are_remembered_are_those_that_asked_last():
    before = limits()
    for client in "abc":
        granted(before, client, 0.0)
    after = RateLimits(Rate(10, 5), {}, 2, before)
    assert len(after) == 2
    assert [granted(after, client, 0.0) for client in "bc"] == [0, 0]


@pytest.mark.parametrize("per_second", [1e-6, 0.3, 7.0, 1e9])
def test_any_rate_gives_its_burst_and_no_more(per_second):
    assert granted(limits(per_second, 3), "a", 123456.789) == 3


@given(st.floats(0.1, 1000), st.integers(1, 20), st.lists(st.floats(0, 0.5), max_size=200))
def test_never_more_than_the_rate_allows(per_second, burst, pauses):
    limited, now, times = limits(per_second, burst), 0.0, []
    for pause in pauses:
        now += pause
        if limited.take("a", now) == 0:
            times.append(now)
    for index, start in enumerate(times):
        for later in range(index, len(times)):
            assert later - index + 1 <= burst + per_second * (times[later] - start) + 1e-6
