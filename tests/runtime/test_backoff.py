from __future__ import annotations

from gateway.runtime.backoff import RestartBackoff


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_delays_double_up_to_thirty_seconds() -> None:
    backoff = RestartBackoff(Clock())
    assert [backoff.died() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_minute_of_health_starts_over() -> None:
    clock = Clock()
    backoff = RestartBackoff(clock)
    assert [backoff.died() for _ in range(3)] == [0.5, 1, 2]
    backoff.became_ready()
    clock.now += 60
    assert [backoff.died() for _ in range(2)] == [0.5, 1]


def test_less_than_a_minute_does_not() -> None:
    clock = Clock()
    backoff = RestartBackoff(clock)
    backoff.died()
    backoff.became_ready()
    clock.now += 59.9
    assert backoff.died() == 1


def test_time_spent_not_ready_is_not_health() -> None:
    clock = Clock()
    backoff = RestartBackoff(clock)
    backoff.became_ready()
    backoff.died()
    clock.now += 600  # it starts, never gets ready and dies again
    assert backoff.died() == 1
