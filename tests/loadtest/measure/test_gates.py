import dataclasses

import pytest

from loadtest.load.loads import Bursts, ClosedLoop, Constant, MultiStream, Offline, Poisson, Ramp, Steps, Trace
from loadtest.measure.gates import Facts, gates_of, warnings_of

OPEN, CLOSED = Poisson(rate=1000.0), ClosedLoop(concurrency=8)
EVERYWHERE = {"measured", "errors", "send lag", "generator CPU", "connection churn", "stolen CPU"}
GOOD = Facts(
    load=OPEN,
    interleaved=False,
    blocks=1,
    seconds=10.0,
    answers=10_000,
    failures=0,
    offered=10_000,
    throughput=1000.0,
    service_mean=0.0,
    service_median=0.002,
    service_p99=0.004,
    send_lag_median=0.00005,
    send_lag_p99=0.0001,
    loop_lag_p99=0.0002,
    generator_cpu=0.3,
    connections_opened=0,
    most_in_flight=0,
    ceiling=20_000.0,
    steady_p=0.4,
)


def facts(**changes):
    return dataclasses.replace(GOOD, **changes)


def gates(**changes):
    return {gate.name: gate for gate in gates_of(facts(**changes))}


def failed(**changes):
    return [gate.name for gate in gates_of(facts(**changes)) if not gate.passed]


def test_a_good_run_passes_every_gate_and_each_says_what_was_measured():
    assert failed() == []
    assert not warnings_of(GOOD)
    assert gates().keys() == EVERYWHERE | {"event-loop lag", "achieved rate", "ceiling", "steadiness"}
    assert all(gate.reason for gate in gates_of(GOOD))


@pytest.mark.parametrize(
    ("gate", "passes", "fails"),
    [
        ("measured", {"answers": 1, "offered": 0}, {"answers": 0, "offered": 0}),
        ("errors", {"failures": 101}, {"failures": 102}),
        ("errors", {"failures": 499, "error_limit": 0.05}, {"failures": 600, "error_limit": 0.05}),
        ("errors", {"failures": 0, "error_limit": 0.0}, {"failures": 1, "error_limit": 0.0}),
        ("send lag", {"send_lag_p99": 0.001}, {"send_lag_p99": 0.00101}),
        ("send lag", {"send_lag_p99": 0.005, "service_p99": 0.05}, {"send_lag_p99": 0.0051, "service_p99": 0.05}),
        ("send lag", {"send_lag_median": 0.001}, {"send_lag_median": 0.00101}),
        (
            "send lag",
            {"send_lag_median": 0.002, "service_median": 0.02, "service_p99": 9.0},
            {"send_lag_median": 0.0021, "service_median": 0.02, "service_p99": 9.0},
        ),
        ("event-loop lag", {"loop_lag_p99": 0.001}, {"loop_lag_p99": 0.00101}),
        (
            "event-loop lag",
            {"loop_lag_p99": 0.05, "service_p99": 0.5},
            {"loop_lag_p99": 0.051, "service_p99": 0.5},
        ),
        ("achieved rate", {"throughput": 990.0}, {"throughput": 989.9}),
        ("achieved rate", {"throughput": 980.0, "failures": 100}, {"throughput": 979.0, "failures": 100}),
        ("generator CPU", {"generator_cpu": 0.9}, {"generator_cpu": 0.901}),
        ("connection churn", {"connections_opened": 100}, {"connections_opened": 101}),
        (
            "connection churn",
            {"connections_opened": 132, "most_in_flight": 32},
            {"connections_opened": 133, "most_in_flight": 32},
        ),
        ("ceiling", {"load": Poisson(rate=14_000.0)}, {"load": Poisson(rate=14_001.0)}),
        ("ceiling", {"load": Ramp(first=1, last=14_000)}, {"load": Ramp(first=14_001, last=1)}),
        ("ceiling", {"load": Trace(file="x"), "ceiling": 1429.0}, {"load": Trace(file="x"), "ceiling": 1428.0}),
        ("steadiness", {"unsteady": "it drifts", "steady_p": 0.0011}, {"unsteady": "it drifts", "steady_p": 0.001}),
        ("steadiness", {"settled": False}, {"settled": False, "unsteady": "it drifts", "steady_p": 0.04}),
        ("stolen CPU", {"stolen_cpu": 0.05}, {"stolen_cpu": 0.051}),
    ],
)
def test_each_gate_at_its_edge(gate, passes, fails):
    assert gate not in failed(**passes)
    assert gate in failed(**fails)


def test_reasons_have_the_value_and_the_limit():
    assert (
        gates(send_lag_p99=0.0042)["send lag"].reason
        == "requests were sent 4.20 ms late (p99); at most 1.00 ms is allowed"
    )
    assert gates(failures=250)["errors"].reason == "2.4 % of the requests failed; at most 1 % may"
    assert gates(throughput=900.0)["achieved rate"].reason == (
        "10 % fewer requests a second were answered than were due; at most 1 % may be missing"
    )
    assert gates(connections_opened=5000)["connection churn"].reason == (
        "5,000 connections were opened while the clock ran; at most 100 may be, or connecting is what was measured"
    )
    assert gates(load=Poisson(rate=15_000.0))["ceiling"].reason == (
        "15,000 requests/s are 75 % of the 20,000 that the load generator can make; above 70 % its own queue shows"
    )


def test_large_numbers_are_written_out():
    assert gates(send_lag_p99=1.2345)["send lag"].reason.startswith("requests were sent 1,234 ms late")
    assert " 1,500 % of the 1,000 " in gates(load=Poisson(rate=15_000.0), ceiling=1000.0)["ceiling"].reason


def test_every_void_block_is_named_and_fails():
    names = [gate.reason for gate in gates_of(facts(void=("too many in flight", "stalled"))) if not gate.passed]
    assert names == ["too many in flight", "stalled"]


def test_requests_under_way_at_the_edges_of_short_windows_are_no_shortfall():
    # 20 requests/s that take a second each: about 20 are under way, give or take 4.5, at either end.
    slow = {"load": Poisson(rate=20.0), "seconds": 10.0, "offered": 200, "answers": 200, "service_mean": 1.0}
    assert "achieved rate" not in failed(**slow, throughput=18.9)
    assert "achieved rate" in failed(**slow, throughput=17.5)


def test_an_overloaded_server_is_found_though_many_are_under_way():
    # It does 900 of 1000 requests/s; the backlog makes them wait half a second in the mean.
    assert "achieved rate" in failed(throughput=900.0, service_mean=0.5)


@pytest.mark.parametrize(
    ("load", "absent"),
    [
        (CLOSED, {"event-loop lag", "achieved rate", "ceiling"}),
        (MultiStream(streams=8), {"event-loop lag", "achieved rate", "ceiling"}),
        (Offline(requests=1000), {"event-loop lag", "send lag", "achieved rate", "ceiling", "steadiness"}),
        (Steps(rates=(1.0, 2.0)), {"steadiness"}),
        (Ramp(first=1.0, last=2.0), {"steadiness"}),
        (Trace(file="x.csv"), {"steadiness"}),
        (Constant(rate=9.0), set()),
        (Bursts(rate=9.0, size=3), set()),
    ],
)
def test_gates_that_a_load_does_not_have(load, absent):
    assert gates(load=load).keys() == gates().keys() - absent


def test_in_turns_a_drift_of_the_machine_invalidates_nobody():
    drift = {"unsteady": "it drifts", "steady_p": 0.0, "settled": False, "stolen_cpu": 0.5}
    assert failed(**drift) == ["steadiness", "stolen CPU"]
    assert failed(**drift, interleaved=True) == []


def test_a_run_that_was_stopped_is_not_held_to_its_rate():
    assert failed(throughput=500.0, unfinished=True) == []


@pytest.mark.parametrize("missing", [{"ceiling": None}, {"steady_p": None}])
def test_what_is_not_known_is_no_gate(missing):
    assert len(gates(**missing)) == len(gates()) - 1


def test_a_late_loop_is_a_warning_in_a_closed_loop():
    late = facts(load=CLOSED, loop_lag_p99=0.004)
    assert not [gate for gate in gates_of(late) if not gate.passed]
    assert warnings_of(late) == (
        "the load generator's event loop ran 4.00 ms late (p99); at most 1.00 ms is allowed: "
        "times may be too high by as much",
    )
    assert not warnings_of(facts(load=CLOSED, loop_lag_p99=0.001))


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({"load": CLOSED, "throughput": 14_001.0}, True),
        ({"load": CLOSED, "throughput": 14_000.0}, False),
        ({"load": Poisson(rate=15_000.0), "forced": True}, True),
        ({"load": Poisson(rate=15_000.0)}, False),
        ({"load": CLOSED, "throughput": 15_000.0, "ceiling": None}, False),
    ],
    ids=["closed", "closed below", "forced", "a gate already", "not calibrated"],
)
def test_nearness_to_the_ceiling_is_a_warning_where_nobody_or_somebody_asked_for_it(changes, warned):
    assert bool(warnings_of(facts(**changes))) is warned


def test_a_forced_rate_is_not_invalid():
    assert failed(load=Poisson(rate=15_000.0), forced=True) == []


@pytest.mark.parametrize(
    ("load", "rate"),
    [
        (Constant(rate=5.0), 5.0),
        (Bursts(rate=6.0, size=2), 6.0),
        (Steps(rates=(1.0, 7.0, 2.0)), 7.0),
        (Ramp(first=8.0, last=1.0), 8.0),
        (Trace(file="x"), None),
        (Offline(requests=5), None),
        (CLOSED, None),
    ],
)
def test_peak_rate(load, rate):
    assert load.peak_rate == rate
