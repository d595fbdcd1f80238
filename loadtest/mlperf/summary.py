"""What LoadGen itself says about a test, read from its detailed log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from loadtest.clock import NS
from loadtest.errors import ResultsError
from loadtest.results.mlperf import MlperfSummary

DETAIL_LOG = "mlperf_log_detail.txt"
_PREFIX = ":::MLLOG "
_PERCENTILES = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")
_RATES = ("result_completed_samples_per_sec", "result_samples_per_second", "result_qps_with_loadgen_overhead")
_CONDITIONS = {
    "result_perf_constraints_met": "the latency limit is not kept",
    "result_min_duration_met": "it ended before its least duration",
    "result_min_queries_met": "it ended before its least number of queries",
}


def read_summary(directory: Path) -> MlperfSummary:
    """Read LoadGen's log in ``directory``.

    Raises:
        ResultsError: there is none, or it holds no result, because the test did not end.
    """
    path = directory / DETAIL_LOG
    try:
        entries = [_entry(line) for line in path.read_text(encoding="utf-8").splitlines() if line.startswith(_PREFIX)]
        values = {entry.key: entry.value for entry in entries}
        return MlperfSummary(
            version=str(values["loadgen_version"]).partition(" ")[0],
            scenario=str(values["effective_scenario"]),
            valid=values["result_validity"] == "VALID",
            reasons=_reasons(values, [str(entry.value) for entry in entries if entry.metadata.get("is_error")]),
            early_stopping=_sentence(values.get("early_stopping_result")),
            queries=int(values["result_query_count"]),
            rate=next((float(values[key]) for key in _RATES if key in values), None),
            minimum=_seconds(values["result_min_latency_ns"]),
            mean=_seconds(values["result_mean_latency_ns"]),
            maximum=_seconds(values["result_max_latency_ns"]),
            percentiles={
                round(float(percent) / 100, 4): _seconds(values[f"result_{percent}_percentile_latency_ns"])
                for percent in _PERCENTILES
            },
            directory=str(directory),
        )
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from None
    except KeyError as error:
        raise ResultsError(f"{path}: LoadGen's test did not end; its log has no {error.args[0]!r}") from None
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        raise ResultsError(f"{path}: not a log of MLPerf LoadGen: {error}") from None


class _Entry(msgspec.Struct):
    key: str
    value: Any
    metadata: dict[str, Any] = {}


_decoder = msgspec.json.Decoder(_Entry)


def _entry(line: str) -> _Entry:
    return _decoder.decode(line[len(_PREFIX) :])


def _reasons(values: Mapping[str, Any], errors: list[str]) -> tuple[str, ...]:
    reasons = [reason for key, reason in _CONDITIONS.items() if not values.get(key, True)]
    if not values.get("early_stopping_met", True):
        reasons.append(f"early stopping: {_sentence(values.get('early_stopping_result'))}")
    return (*reasons, *map(_sentence, errors))


def _sentence(text: object) -> str:
    """LoadGen's bulleted lines as one line."""
    return " ".join(str(text or "").replace("* ", "").split())


def _seconds(nanoseconds: object) -> float:
    return float(str(nanoseconds)) / NS
