from __future__ import annotations

import inspect

import numpy as np
import pytest
from support.slo_rows import make_row, times

from loadtest.measure import gates
from loadtest.measure.summary import Gate
from loadtest.search import attempt
from loadtest.search.attempt import SearchStopped, attempt_of
from loadtest.slo import parse_slo

SLO = parse_slo("p99<50ms,errors<5%")
FAST = {"response_times": np.full(1000, 0.01), "response": times(mean=0.01, p99=0.01)}
SLOW = {"response_times": np.full(1000, 0.1), "response": times(mean=0.1, p99=0.1)}


def failed(name: str) -> tuple[Gate, ...]:
    return (Gate("stolen CPU", passed=True, reason="nothing was"), Gate(name, passed=False, reason=f"{name} is wrong"))


def test_met() -> None:
    judged = attempt_of(make_row(**FAST), SLO)
    assert (judged.valid, judged.violations) == (True, ())
    assert judged.measured == {"p99": 0.01, "errors": 0.0}


def test_not_met() -> None:
    judged = attempt_of(make_row(**SLOW, error_share=0.1), SLO)
    assert judged.valid
    assert judged.violations == ("p99<50ms: p99 was 100 ms", "errors<5%: errors was 10.000%")


@pytest.mark.parametrize("name", ["send lag", "event-loop lag"])
def test_a_late_generator_only_makes_times_longer(name) -> None:
    assert attempt_of(make_row(**FAST, gates=failed(name)), SLO).violations == ()
    # 100 ms where 50 are allowed: so much lateness does not explain it, and so much does.
    judged = attempt_of(make_row(**SLOW, gates=failed(name), send_lag={0.99: 0.04}), SLO)
    assert judged.valid
    assert judged.violations
    judged = attempt_of(make_row(**SLOW, gates=failed(name), send_lag={0.99: 0.06}), SLO)
    assert (judged.valid, judged.reason) == (False, f"{name} is wrong")


@pytest.mark.parametrize("name", ["generator CPU", "connection churn", "stolen CPU"])
@pytest.mark.parametrize("times", [FAST, SLOW])
def test_the_generators_faults_are_no_verdict(name, times) -> None:
    judged = attempt_of(make_row(**times, gates=failed(name)), SLO)
    assert (judged.valid, judged.reason) == (False, f"{name} is wrong")


def test_a_server_that_falls_behind_does_not_do_however_fast_its_answers_are() -> None:
    judged = attempt_of(make_row(**FAST, gates=failed("achieved rate")), SLO)
    assert (judged.valid, judged.violations) == (True, ("achieved rate is wrong",))


def test_a_block_that_was_given_up_has_no_answers_and_does_not_do() -> None:
    judged = attempt_of(make_row(gates=(*failed("measured"), *failed("void"))), SLO)
    assert (judged.valid, judged.violations) == (True, ("measured is wrong", "void is wrong"))


def test_errors_are_limited_where_the_slo_does_not_say_how_many() -> None:
    row = make_row(**FAST, gates=failed("errors"), error_share=0.02)
    assert attempt_of(row, parse_slo("p99<50ms")).violations == ("errors is wrong",)
    assert attempt_of(row, SLO).violations == ()


def test_unsteady_times_are_left_to_the_repetitions() -> None:
    assert attempt_of(make_row(**FAST, gates=failed("steadiness")), SLO).violations == ()


def test_too_few_answers_are_no_verdict() -> None:
    judged = attempt_of(make_row(response_times=np.full(100, 0.01)), SLO)
    assert (judged.valid, judged.reason) == (False, "p99<50ms: p99 is not known, it needs 662 good answers")


def test_a_target_that_cannot_be_measured_ends_the_search() -> None:
    with pytest.raises(SearchStopped, match="connect: Connection refused"):
        attempt_of(make_row(problem="connect: Connection refused"), SLO)


def test_the_gates_have_these_names() -> None:
    source = inspect.getsource(gates)
    for name in (*attempt._SERVERS_GATES, attempt._NO_MATTER):
        assert f'"{name}"' in source
