from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.slo_rows import make_row, times

from loadtest.errors import BadSpec
from loadtest.slo import Condition, metrics_of, parse_slo
from loadtest.statistics.estimate import Estimate

percentiles = st.decimals(1, "99.99", places=2).map(lambda digits: f"p{digits.normalize():f}")
time_metrics = st.builds(
    "{}{}".format, st.sampled_from(["", "response."]), percentiles | st.sampled_from(["mean", "max"])
)
limits = st.decimals("0.001", 100, places=3)
conditions = st.one_of(
    st.builds(
        "{}{}{}{}".format, time_metrics, st.sampled_from(["<", " <= "]), limits, st.sampled_from(["ns", "µs", " ms"])
    ),
    st.builds("errors<{}%".format, limits),
    st.builds("{}>={}{}".format, st.sampled_from(["rate", "throughput"]), limits, st.sampled_from(["", "/s"])),
)


@given(st.lists(conditions, min_size=1, max_size=4).map(",".join))
def test_the_text_is_kept_and_read_again(text) -> None:
    assert parse_slo(text).text == text
    assert parse_slo(parse_slo(text).text) == parse_slo(text)


@pytest.mark.parametrize(
    ("text", "metric", "operator", "limit"),
    [
        ("p99<50ms", "p99", "<", 0.05),
        ("p99.9 <= 5us", "p99.9", "<=", 5e-6),
        ("p50<7ns", "p50", "<", 7e-9),
        ("mean<1.5µs", "mean", "<", 1.5e-6),
        ("max<2s", "max", "<", 2.0),
        ("response.p95<1ms", "p95", "<", 1e-3),
        ("service.p99<1ms", "service.p99", "<", 1e-3),
        ("first_byte.mean<1ms", "first_byte.mean", "<", 1e-3),
        ("errors<0.1%", "errors", "<", 0.001),
        ("errors<=0%", "errors", "<=", 0.0),
        ("throughput>500", "throughput", ">", 500.0),
        ("rate>=500/s", "throughput", ">=", 500.0),
    ],
)
def test_conditions(text, metric, operator, limit) -> None:
    assert parse_slo(text).conditions == (Condition(metric, operator, limit, text),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' cannot be read; an SLO is conditions"),
        ("p99<50ms,", "'' cannot be read"),
        ("p99", "'p99' cannot be read"),
        ("p99=50ms", "'p99=50ms' cannot be read"),
        ("p99<-5ms", "'p99<-5ms' cannot be read"),
        ("p99<1e3ms", "cannot be read"),
        ("p99<50 minutes", "cannot be read"),
        ("median<5ms", "cannot be read"),
        ("p99<50", "a limit of p99 has a unit (ms, ns, s, us)"),
        ("p99<50%", "a limit of p99 has a unit"),
        ("errors<1", "a limit of errors has a unit (%)"),
        ("throughput>5s", "a limit of throughput has a unit (/s)"),
        ("p99>50ms", "p99 is limited from above: < or <="),
        ("throughput<5", "throughput is limited from below: > or >="),
        ("p99<0ms", "a limit of 0"),
        ("errors<0%", "a limit of 0"),
        ("throughput>=0", "a limit of 0"),
        ("errors<101%", "a share is at most 100 %"),
        ("p0<5ms", "percentiles are above p0 and below p100"),
        ("p100<5ms", "percentiles are above p0 and below p100"),
        ("p99.99999999999999999999<5ms", "percentiles are above p0 and below p100"),
        ("service.errors<1%", "there is only one errors"),
        ("service.p98<5ms", "of the service time only mean and p50, p90, p95, p99, p99.9 are kept"),
        ("first_byte.max<5ms", "of the first_byte time only mean"),
    ],
)
def test_what_makes_no_sense_is_quoted(text, reason) -> None:
    with pytest.raises(BadSpec) as raised:
        parse_slo(text)
    assert str(raised.value).startswith(f"SLO '{text}': ")
    assert reason in str(raised.value)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text) -> None:
    try:
        slo = parse_slo(text)
    except BadSpec:
        return
    assert parse_slo(slo.text) == slo


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("p99<5us", 5e-6, False),
        ("p99<=5us", 5e-6, True),
        ("errors<0.1%", 0.001, False),
        ("errors<=0.1%", 0.001, True),
        ("errors<=0%", 0.0, True),
        ("rate>5", 5.0, False),
        ("rate>=5", 5.0, True),
    ],
)
def test_limits_are_exact(text, value, holds) -> None:
    assert (parse_slo(text).check(lambda metric: value) == ()) is holds


def test_every_violated_condition_has_a_sentence() -> None:
    values = {"p99": 0.0612, "errors": 0.0125, "throughput": 1480.0, "mean": 0.001, "p50": 3e-6}
    slo = parse_slo("p99<50ms, errors<0.1%, throughput>=1500, mean<5ms, p50<2us")
    assert slo.check(values.get) == (
        "p99<50ms: p99 was 61.2 ms",
        "errors<0.1%: errors was 1.250%",
        "throughput>=1500: throughput was 1,480/s",
        "p50<2us: p50 was 3 µs",
    )


def test_what_is_not_known_is_no_pass() -> None:
    assert parse_slo("p99.9<1s,max<1s").check(lambda metric: None) == (
        "p99.9<1s: p99.9 is not known, it needs 6,636 good answers",
        "max<1s: max is not known, there was no good answer",
    )


def test_least_samples_and_longest_time() -> None:
    assert parse_slo("p99<50ms,p50<2s").least_samples == 662
    assert parse_slo("p99<50ms,p50<2s").longest_time == 2
    assert parse_slo("errors<0.1%").least_samples == 1000
    assert parse_slo("errors<=0%").least_samples == 1
    assert parse_slo("errors<0.1%,rate>50").longest_time == 0


class TestMetricsOfARow:
    row = make_row(
        response_times=np.arange(1, 10_001) / 1000,
        response=times(mean=5.0, p50=5.0, p99=Estimate(value=9.9, enough=False)),
        service=times(mean=4.0, p99=8.0),
        first_byte=times(mean=3.0, p99=7.0),
        throughput=Estimate(value=480.0),
        error_share=0.02,
    )

    @pytest.mark.parametrize(
        ("metric", "value"),
        [
            ("mean", 5.0),
            ("p50", 5.0),
            ("p98", 9.8),
            ("p99.5", 9.95),
            ("max", 10.0),
            ("service.p99", 8.0),
            ("first_byte.mean", 3.0),
            ("errors", 0.02),
            ("throughput", 480.0),
        ],
    )
    def test_values(self, metric, value) -> None:
        assert metrics_of(self.row)(metric) == value

    @pytest.mark.parametrize("metric", ["p99", "p99.99"])
    def test_too_few_samples(self, metric) -> None:
        assert metrics_of(self.row)(metric) is None

    @pytest.mark.parametrize(
        "metric", ["mean", "max", "p99", "p98", "service.mean", "service.p99", "errors", "throughput"]
    )
    def test_nothing_is_known_without_answers(self, metric) -> None:
        assert metrics_of(make_row())(metric) is None

    def test_errors_are_known_without_good_answers(self) -> None:
        assert metrics_of(make_row(errors={"timeout": 5}, error_share=1.0))("errors") == 1.0
