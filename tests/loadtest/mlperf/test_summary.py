import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.errors import ResultsError
from loadtest.mlperf.summary import DETAIL_LOG, read_summary

VALUES = {
    "loadgen_version": "6.0.17 @ d6147c7eb7",
    "effective_scenario": "Server",
    "result_validity": "VALID",
    "result_perf_constraints_met": True,
    "result_min_duration_met": True,
    "result_min_queries_met": True,
    "early_stopping_met": True,
    "early_stopping_result": " * Run successful.",
    "result_query_count": 446,
    "result_scheduled_samples_per_sec": 295.777,
    "result_completed_samples_per_sec": 295.498,
    "result_min_latency_ns": 234445,
    "result_mean_latency_ns": 1237779,
    "result_max_latency_ns": 2200477,
    "result_50.00_percentile_latency_ns": 1239513,
    "result_90.00_percentile_latency_ns": 1401312,
    "result_95.00_percentile_latency_ns": 1599737,
    "result_97.00_percentile_latency_ns": 1848019,
    "result_99.00_percentile_latency_ns": 2075361,
    "result_99.90_percentile_latency_ns": 2200477,
}


def write(directory, values, errors=()):
    entries = [(key, value, False) for key, value in values.items()] + [("error_runtime", e, True) for e in errors]
    lines = [
        ":::MLLOG " + json.dumps({"key": key, "value": value, "metadata": {"is_error": bad}})
        for key, value, bad in entries
    ]
    (directory / DETAIL_LOG).write_text("\n".join(lines) + "\n")


def test_a_valid_result(tmp_path):
    write(tmp_path, VALUES)
    summary = read_summary(tmp_path)
    assert (summary.version, summary.scenario, summary.valid, summary.reasons) == ("6.0.17", "Server", True, ())
    assert (summary.queries, summary.rate, summary.early_stopping) == (446, 295.498, "Run successful.")
    assert (summary.minimum, summary.mean, summary.maximum) == (0.000234445, 0.001237779, 0.002200477)
    assert summary.percentiles == {
        0.5: 0.001239513,
        0.9: 0.001401312,
        0.95: 0.001599737,
        0.97: 0.001848019,
        0.99: 0.002075361,
        0.999: 0.002200477,
    }
    assert summary.directory == str(tmp_path)


def test_an_invalid_result_says_why(tmp_path):
    unmet = {
        "result_validity": "INVALID",
        "result_min_duration_met": False,
        "early_stopping_met": False,
        "early_stopping_result": " * Only processed 2 queries.\n * Need 662.",
    }
    write(tmp_path, VALUES | unmet, errors=["Ending early: Too many outstanding queries."])
    summary = read_summary(tmp_path)
    assert not summary.valid
    assert summary.reasons == (
        "it ended before its least duration",
        "early stopping: Only processed 2 queries. Need 662.",
        "Ending early: Too many outstanding queries.",
    )


def test_a_scenario_without_a_rate_has_none(tmp_path):
    write(tmp_path, {key: value for key, value in VALUES.items() if "samples_per_sec" not in key})
    assert read_summary(tmp_path).rate is None


def test_a_test_that_did_not_end_has_no_summary(tmp_path):
    write(tmp_path, {key: value for key, value in VALUES.items() if not key.startswith("result_")})
    with pytest.raises(ResultsError, match="did not end; its log has no 'result_validity'"):
        read_summary(tmp_path)


def test_no_log_is_named(tmp_path):
    with pytest.raises(ResultsError, match=f"{DETAIL_LOG}: No such file"):
        read_summary(tmp_path)


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_garbage_is_refused(tmp_path_factory, text):
    directory = tmp_path_factory.getbasetemp()
    (directory / DETAIL_LOG).write_text(f":::MLLOG {text}\n", encoding="utf-8")
    with pytest.raises(ResultsError):
        read_summary(directory)


@pytest.mark.parametrize("value", ["many", None, [1]])
def test_a_number_that_is_none_is_refused(tmp_path, value):
    write(tmp_path, VALUES | {"result_mean_latency_ns": value})
    with pytest.raises(ResultsError, match="not a log of MLPerf LoadGen"):
        read_summary(tmp_path)
