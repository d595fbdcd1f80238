import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.results.block import ServerTimes
from loadtest.server_times.breakdown import BACKEND_REST, REST, breakdown


def told(source, requests, total=None, **seconds):
    return ServerTimes(source=source, requests=requests, seconds=seconds, total=total)


def split(*times, mean=0.010, through_gateway=False):
    return breakdown(times, mean, through_gateway=through_gateway)


def labels(bar):
    return [label for label, _ in bar.parts]


GATEWAY = told("Server-Timing", 5, total=0.05, queue=0.001, backend=0.03, gateway=0.01)


def test_the_rest_is_the_clients_and_the_networks():
    bar = split(told("Prometheus", 10, compute=0.05, queue=0.02))
    assert bar.source == "Prometheus"
    assert labels(bar) == ["queue", "compute", REST]
    assert [seconds for _, seconds in bar.parts] == pytest.approx([0.002, 0.005, 0.003])


def test_of_a_sample_the_shares_are_taken():
    # The sampled answers took 20 ms each, all of them 10 ms in the mean.
    bar = split(told("Server-Timing", 5, total=0.1, backend=0.05, gateway=0.02))
    assert dict(bar.parts) == pytest.approx({"backend": 0.005, "gateway": 0.002, REST: 0.003})


def test_through_the_gateway_its_wait_is_split_by_what_the_backend_counts():
    bar = split(GATEWAY, told("Prometheus", 100, queue=0.1, compute=0.3), through_gateway=True)
    assert bar.source == "Server-Timing, Prometheus"
    assert labels(bar) == ["queue", "compute", BACKEND_REST, "gateway", REST]
    assert [seconds for _, seconds in bar.parts] == pytest.approx([0.0012, 0.003, 0.002, 0.002, 0.0018])


def test_a_backend_that_counts_more_than_the_gateway_waited_gets_no_more():
    bar = split(GATEWAY, told("Prometheus", 1, compute=0.007, queue=0.001), through_gateway=True)
    assert dict(bar.parts)["compute"] == pytest.approx(0.006 * 7 / 8)
    assert dict(bar.parts).get(BACKEND_REST, 0.0) == pytest.approx(0)


@pytest.mark.parametrize("through_gateway", [True, False])
def test_without_counters_the_header_stands_alone(through_gateway):
    bar = split(GATEWAY, through_gateway=through_gateway)
    assert bar.source == "Server-Timing"
    assert labels(bar) == ["queue", "backend", "gateway", REST]


def test_a_server_that_says_both_is_taken_at_its_counters():
    bar = split(GATEWAY, told("OIP statistics", 5, queue=0.01, compute_infer=0.01))
    assert bar.source == "OIP statistics"
    assert labels(bar) == ["queue", "compute", REST]


def test_tritons_names_become_ours_in_the_order_of_time():
    bar = split(told("OIP statistics", 1, compute_output=0.001, compute_infer=0.002, compute_input=0.003, queue=0.0))
    assert labels(bar) == ["input", "compute", "output", REST]


def test_parts_of_other_names_are_shown_too():
    assert labels(split(told("Server-Timing", 1, cache=0.001, gateway=0.001))) == ["gateway", "cache", REST]


@given(
    st.dictionaries(st.sampled_from(["queue", "compute", "batch", "gateway"]), st.floats(0, 10), max_size=4),
    st.integers(1, 100),
    st.floats(1e-6, 1),
    st.none() | st.floats(1e-6, 10),
    st.sampled_from([(), (GATEWAY,)]),
    st.booleans(),
)
def test_parts_add_up_to_the_mean_service_time_and_none_is_negative(seconds, requests, mean, total, header, through):
    bar = split(*header, told("Prometheus", requests, total, **seconds), mean=mean, through_gateway=through)
    assert sum(part for _, part in bar.parts) == pytest.approx(mean)
    assert all(part >= 0 for _, part in bar.parts)


@pytest.mark.parametrize("silent", [(), (told("Prometheus", 0),)])
def test_nobody_says(silent):
    assert split(*silent) is None
