import pytest

from gateway.core.retry_budget import RetryBudget


def taken(budget, now, wanted=1000):
    """How many of ``wanted`` retries the budget allows at ``now``."""
    return sum(budget.withdraw(now) for _ in range(wanted))


def test_a_share_of_the_requests_and_some_without_any():
    budget = RetryBudget(0.2, per_second=10)
    assert taken(budget, 0.0) == 100  # a window's worth at once
    for _ in range(500):
        budget.deposit(0.0)
    assert taken(budget, 0.0) == 100


@pytest.mark.parametrize(("share", "requests"), [(0.05, 20), (0.1, 10), (0.2, 5)])
def test_without_a_minimum_the_share_is_exact(share, requests):
    budget = RetryBudget(share, per_second=0)
    for _ in range(requests - 1):
        budget.deposit(3.0)
    assert not budget.withdraw(3.0)
    budget.deposit(3.0)
    assert taken(budget, 3.0) == 1


@pytest.mark.parametrize(("now", "left"), [(9.9, 10), (10.0, 9), (15.0, 4), (18.9, 1), (19.0, 0)])
def test_deposits_lapse_with_the_window(now, left):
    budget = RetryBudget(1.0, per_second=0)
    for second in range(10):
        budget.deposit(second)
    assert taken(budget, now) == left


def test_withdrawals_lapse_too():
    budget = RetryBudget(0.0, per_second=10)
    assert taken(budget, 5.0) == 100
    assert not budget.withdraw(14.9)
    assert taken(budget, 15.0) == 100


def test_a_long_silence_leaves_nothing_behind():
    budget = RetryBudget(1.0, per_second=1)
    for _ in range(50):
        budget.deposit(0.0)
    assert taken(budget, 1e6) == 10


def test_what_was_not_used_is_given_back():
    budget = RetryBudget(0.0, per_second=0.1)
    assert budget.withdraw(0.0)
    assert not budget.withdraw(0.0)
    budget.refund(0.0)
    assert budget.withdraw(0.0)


def test_load_over_time_gets_its_share():
    budget, retries = RetryBudget(0.2, per_second=0), 0
    for number in range(20_000):  # 100 a second, all of which fail
        now = number / 100
        budget.deposit(now)
        retries += budget.withdraw(now)
    assert 3900 <= retries <= 4000
