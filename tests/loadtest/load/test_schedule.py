from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from loadtest.clock import NS
from loadtest.errors import BadSpec
from loadtest.load.loads import Bursts, Constant, Offline, OpenLoop, Poisson, Ramp, Steps, Trace
from loadtest.load.schedule import due_times, natural_seconds, with_lead_in

rates = st.floats(0.1, 5000)
open_loads: st.SearchStrategy[OpenLoop] = st.one_of(
    st.builds(Constant, rate=rates),
    st.builds(Poisson, rate=rates),
    st.builds(Bursts, rate=rates, size=st.integers(1, 50)),
    st.builds(Steps, rates=st.lists(rates, min_size=1, max_size=5).map(tuple)),
    st.builds(Ramp, first=rates, last=rates),
)
RANDOM = [Poisson(rate=1000), Steps(rates=(500, 1500)), Ramp(first=500, last=1500)]
INITIAL = {
    "poisson": Poisson(rate=1000),
    "constant": Constant(rate=1000),
    "bursts": Bursts(rate=1000, size=20),
    "steps": Steps(rates=(1000, 50)),
    "ramp": Ramp(first=1000, last=50),
}


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "arrivals.txt"
    path.write_text("100.0\n100.5\n100.5\n101.0\n103.0\n")
    return str(path)


@given(open_loads, st.floats(0.001, 3), st.integers(0, 2**32), st.integers(0, 2 * NS))
def test_times_are_ascending_in_the_window_and_the_lead_in_before_it(load, seconds, seed, lead_in) -> None:
    due = with_lead_in(load, lead_in, seconds, seed)
    assert due.dtype == np.int64
    assert np.all(np.diff(due) >= 0)
    assert np.all((due >= -lead_in - 1) & (due < seconds * NS))
    assert np.array_equal(due[due >= 0], due_times(load, seconds, seed))


@given(open_loads, st.integers(0, 2**32))
@settings(max_examples=30)
def test_a_seed_fixes_the_arrivals(load, seed) -> None:
    assert np.array_equal(with_lead_in(load, NS, 1, seed), with_lead_in(load, NS, 1, seed))


@pytest.mark.parametrize("load", RANDOM, ids=lambda load: load.spec)
def test_other_seeds_give_independent_arrivals(load) -> None:
    one, other = (np.histogram(due_times(load, 100, seed), 1000, (0, 100 * NS))[0] for seed in (1, 2))
    trend = np.mean([np.histogram(due_times(load, 100, s), 1000, (0, 100 * NS))[0] for s in range(3, 43)], axis=0)
    assert abs(np.corrcoef(one - trend, other - trend)[0, 1]) < 0.1


@pytest.mark.parametrize("load", RANDOM, ids=lambda load: load.spec)
def test_the_lead_in_is_independent_of_the_window(load) -> None:
    due = with_lead_in(load, 100 * NS, 100, seed=1)
    before, after = np.sort(-due[due < 0]), due[due >= 0]
    assert len(np.intersect1d(before // 1000, after // 1000)) < 0.01 * len(after)


def test_gaps_are_exponential() -> None:
    gaps = np.diff(due_times(Poisson(rate=1000), 50, seed=5)) / NS
    assert stats.kstest(gaps, stats.expon(scale=1e-3).cdf).pvalue > 0.01
    assert np.corrcoef(gaps[:-1], gaps[1:])[0, 1] == pytest.approx(0, abs=4 / np.sqrt(len(gaps)))


def test_counts_vary_as_poisson_counts_do() -> None:
    counts = [len(due_times(Poisson(rate=50), 1, seed)) for seed in range(2000)]
    assert np.mean(counts) == pytest.approx(50, rel=0.02)
    assert np.var(counts) == pytest.approx(50, rel=0.15)


@given(rate=st.floats(0.5, 20_000), seconds=st.floats(0.1, 5))
def test_constant_spacing_does_not_drift(rate, seconds) -> None:
    due = due_times(Constant(rate=rate), seconds, seed=0)
    assert np.max(np.abs(due - np.arange(len(due)) * NS / rate)) <= 1
    assert len(due) == pytest.approx(seconds * rate, abs=1)


def test_constant_does_not_drift_over_an_hour() -> None:
    due = due_times(Constant(rate=3), 3600, seed=0)
    assert len(due) == 10_800
    assert due[-1] == 3_599_666_666_667


def test_bursts_have_their_size_and_the_mean_rate() -> None:
    due = due_times(Bursts(rate=500, size=20), 10, seed=0)
    moments, sizes = np.unique(due, return_counts=True)
    assert set(sizes) == {20}
    assert len(due) == 5000
    assert set(np.diff(moments)) == {40_000_000}


def test_steps_take_equal_shares_of_the_time() -> None:
    due = due_times(Steps(rates=(100, 1000, 400)), 30, seed=2)
    counts = np.histogram(due, 3, (0, 30 * NS))[0]
    assert counts == pytest.approx([1000, 10_000, 4000], rel=0.07)


@pytest.mark.parametrize(("first", "last"), [(100, 2000), (2000, 100), (700, 700)])
def test_a_ramp_has_its_cumulative_course(first, last) -> None:
    seconds = 20
    due = due_times(Ramp(first=first, last=last), seconds, seed=4) / NS
    total = (first + last) / 2 * seconds
    assert len(due) == pytest.approx(total, abs=4 * np.sqrt(total))

    def course(time):
        return (first * time + (last - first) * time**2 / (2 * seconds)) / total

    assert stats.kstest(due, course).pvalue > 0.01


def test_a_short_trace_ends_and_a_long_one_is_cut(trace) -> None:
    load = Trace(file=trace)
    assert due_times(load, 10, seed=0).tolist() == [0, 500_000_000, 500_000_000, NS, 3 * NS]
    assert due_times(load, 1, seed=0).tolist() == [0, 500_000_000, 500_000_000]


def test_a_trace_is_replayed_at_its_speed(trace) -> None:
    assert due_times(Trace(file=trace, speed=2), 10, seed=0)[-1] == 1.5 * NS


def test_all_of_a_trace_is_due_in_its_natural_time(trace) -> None:
    for speed in (0.5, 1, 3):
        load = Trace(file=trace, speed=speed)
        seconds = natural_seconds(load)
        assert seconds == pytest.approx(3 / speed * 5 / 4)
        assert len(due_times(load, seconds, seed=0)) == 5
    assert natural_seconds(Poisson(rate=5)) is None


def test_offline_is_due_at_once_and_has_no_lead_in() -> None:
    assert with_lead_in(Offline(requests=7), NS, 2, seed=0).tolist() == [0] * 7


@pytest.mark.parametrize("load", INITIAL.values(), ids=INITIAL)
def test_the_lead_in_has_the_first_rate(load) -> None:
    due = with_lead_in(load, 10 * NS, 10, seed=3)
    assert np.count_nonzero(due < 0) == pytest.approx(10_000, rel=0.05)
    assert np.histogram(due, 10, (-10 * NS, 0))[0] == pytest.approx([1000] * 10, rel=0.15)


def test_constant_load_passes_from_the_lead_in_into_the_window_without_a_gap() -> None:
    assert set(np.diff(with_lead_in(Constant(rate=500), NS, 1, seed=0))) == {2_000_000}


def test_a_traces_lead_in_is_its_beginning_backwards(trace) -> None:
    due = with_lead_in(Trace(file=trace), 2 * NS, 10, seed=0)
    assert due[due < 0].tolist() == [-NS, -500_000_000, -500_000_000]


def test_more_requests_than_memory_holds_are_refused() -> None:
    with pytest.raises(BadSpec, match=r"'poisson:10000000' for 60 s is 600,000,000 requests: at most 100,000,000"):
        due_times(Poisson(rate=1e7), 60, seed=0)
