import pytest

from benchmarks.overload import Part, parts, recovery, table


def row(due, taken, failure=""):
    """Times in seconds."""
    return {
        "scheduled_ns": str(round(due * 1e9)),
        "done_ns": "" if failure else str(round((due + taken) * 1e9)),
        "failure": failure,
    }


ROWS = [
    *(row(second / 10, 0.1) for second in range(100)),  # 10 s of 10/s, each answered in 100 ms
    *(row(10 + second / 30, 0.2, "HTTP 503" if second % 3 else "") for second in range(300)),
    row(20.0, 1.5),
    row(21.0, 0.1, "HTTP 503"),
    row(25.0, 0.1),
]


def test_requests_belong_to_the_part_they_were_due_in_and_answers_to_that_they_came_in():
    at_capacity, over, after = parts(ROWS, [10.0, 30.0, 5.0], 10.0)
    assert at_capacity == Part(10.0, 9.9, 0.0, pytest.approx(0.1), pytest.approx(0.1))  # the last came too late
    assert over.goodput == pytest.approx(10.0, abs=0.2)
    assert over.refused == pytest.approx(2 / 3)
    assert over.p99 == pytest.approx(0.2)
    assert after.refused == pytest.approx(1 / 3)


def test_it_has_recovered_when_the_last_request_that_failed_or_was_slow_is_past():
    assert recovery(ROWS, 20.0, slow=2.0) == pytest.approx(1.0)
    assert recovery(ROWS, 21.5, slow=2.0) == 0.0
    assert recovery([*ROWS, row(24.0, 0.3)], 20.0, slow=0.25) == pytest.approx(4.0)


def test_the_table_fits_a_terminal():
    text = table([Part(12345.6, 12345.6, 1.0, 99.0, 99.9), Part(1.0, 0.0, 0.0, 0.001, 0.002)], 100.0)
    assert max(map(len, text.splitlines())) < 80
    assert "100.0%" in text


def test_a_part_in_which_nothing_was_answered_has_no_time():
    (part,) = parts([row(1.0, 0.1, "HTTP 503")], [1.0], 10.0)
    assert (part.goodput, part.refused, part.p99) == (0.0, 1.0, float("inf"))
