from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import BadSpec
from loadtest.load.loads import Bursts, ClosedLoop, Constant, MultiStream, Offline, Poisson, Ramp, Steps, Trace
from loadtest.load.spec import FORMS, parse_load

rates = st.floats(0.001, 1e7)
files = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
loads = st.one_of(
    st.builds(ClosedLoop, concurrency=st.integers(1, 100_000)),
    st.just(ClosedLoop(concurrency=1, mlperf="single-stream")),
    st.builds(MultiStream, streams=st.integers(1, 100_000)),
    st.builds(Constant, rate=rates),
    st.builds(Poisson, rate=rates, mlperf=st.sampled_from(["", "server"])),
    st.builds(Bursts, rate=rates, size=st.integers(1, 100_000)),
    st.builds(Steps, rates=st.lists(rates, min_size=1, max_size=6).map(tuple)),
    st.builds(Ramp, first=rates, last=rates),
    st.builds(Trace, file=files | files.map(lambda name: name + "x2"), speed=st.just(1.0) | st.floats(0.01, 1e6)),
    st.builds(Offline, requests=st.integers(1, 100_000_000)),
)


@given(loads)
def test_what_a_load_writes_is_read_as_the_same_load(load) -> None:
    assert parse_load(load.spec) == load


@pytest.mark.parametrize(
    ("text", "load"),
    [
        ("closed:8", ClosedLoop(concurrency=8)),
        ("constant:500", Constant(rate=500)),
        ("poisson:0.5", Poisson(rate=0.5)),
        ("bursts:500x20", Bursts(rate=500, size=20)),
        ("steps:100,200,400", Steps(rates=(100, 200, 400))),
        ("ramp:100-1000", Ramp(first=100, last=1000)),
        ("trace:azure.csv", Trace(file="azure.csv")),
        ("trace:/a:b/azure.csv.gzx2.5", Trace(file="/a:b/azure.csv.gz", speed=2.5)),
        ("trace:x86x1", Trace(file="x86")),
        ("single-stream", ClosedLoop(concurrency=1, mlperf="single-stream")),
        ("multi-stream", MultiStream(streams=8)),
        ("multi-stream:3", MultiStream(streams=3)),
        ("server:500", Poisson(rate=500, mlperf="server")),
        ("offline", Offline(requests=24_576)),
        ("offline:10000", Offline(requests=10_000)),
    ],
)
def test_forms(text, load) -> None:
    assert parse_load(text) == load


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is no load"),
        ("fast", "'fast' is no load"),
        ("closed", "'closed' is no load"),
        ("closed:", "'closed:' is no load"),
        ("single-stream:2", "'single-stream:2' is no load"),
        ("closed:0", "load 'closed:0': '0' should be a whole number from 1 to 100,000"),
        ("closed:1.5", "'1.5' should be a whole number"),
        ("closed:²", "'²' should be a whole number"),
        ("closed:" + "9" * 5000, "should be a whole number"),
        ("poisson:0", "load 'poisson:0': the rate '0' should be from 0.001 to 10,000,000"),
        ("poisson:-5", "the rate '-5' should be from"),
        ("poisson:nan", "the rate 'nan' should be from"),
        ("poisson:inf", "the rate 'inf' should be from"),
        ("poisson:10000001", "the rate '10000001' should be from"),
        ("poisson:many", "the rate 'many' should be a number"),
        ("bursts:500", "'' should be a whole number"),
        ("steps:100,,200", "the rate '' should be a number"),
        ("ramp:100", "'100' should be two rates with a '-' between them"),
        ("ramp:-5-10", "the rate '' should be a number"),
        ("trace:x2", "'x2' should be a file before the speed"),
        ("trace:ax0", "the speed '0' should be from 0.01"),
        ("trace:ax1.2.3", "the speed '1.2.3' should be a number"),
    ],
)
def test_what_cannot_be_read_is_quoted_with_the_forms(text, reason) -> None:
    with pytest.raises(BadSpec) as raised:
        parse_load(text)
    assert reason in str(raised.value)
    assert str(raised.value).endswith(FORMS)
    assert "\n" not in str(raised.value)


@given(st.text(max_size=30) | st.builds("{}:{}".format, st.sampled_from(["closed", "ramp", "trace"]), st.text()))
def test_any_text_is_read_or_refused(text) -> None:
    try:
        load = parse_load(text)
    except BadSpec:
        return
    assert parse_load(load.spec) == load
