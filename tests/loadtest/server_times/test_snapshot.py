import pytest

from loadtest.server_times.snapshot import Snapshot, difference


def snapshot(requests, **seconds):
    return Snapshot("Prometheus", requests, seconds)


def test_the_difference_is_what_came_in_between():
    times = difference(snapshot(10, queue=1.0, compute=5.0), snapshot(14, queue=1.5, compute=7.0))
    assert (times.source, times.requests, times.total) == ("Prometheus", 4, None)
    assert times.seconds == {"queue": 0.5, "compute": 2.0}


def test_a_part_that_is_new_began_at_zero():
    assert difference(snapshot(1, a=1.0), snapshot(2, a=1.0, b=3.0)).seconds == {"a": 0.0, "b": 3.0}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, snapshot(1, a=1.0)),
        (snapshot(1, a=1.0), None),
        (snapshot(5, a=1.0), snapshot(5, a=1.0)),
        (snapshot(5, a=9.0), snapshot(2, a=1.0)),
        (snapshot(5, a=9.0), snapshot(7, a=1.0)),
        (snapshot(5, a=9.0, b=1.0), snapshot(7, a=9.0, b=1.0)),
        (snapshot(5), snapshot(7)),
    ],
    ids=["no start", "no end", "no answers", "restarted", "restarted and overtaken", "times stand still", "no times"],
)
def test_nothing_can_be_said(before, after):
    assert difference(before, after) is None
