from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.load_reports import make_report, make_search

from loadtest.errors import ResultsError
from loadtest.load.loads import ClosedLoop
from loadtest.results.block import pack, unpack
from loadtest.results.file import load_report, save_report
from loadtest.results.report import Report


@pytest.fixture
def report() -> Report:
    return make_report(loads=(ClosedLoop(concurrency=1),), search=make_search())


def test_what_was_saved_is_read_again(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    save_report(report, path)
    assert load_report(path) == report
    assert list(path.parent.iterdir()) == [path]


def test_packed_values_survive() -> None:
    values = np.array([-1, 0, 2**62], dtype=np.int64)
    assert unpack(pack(values)).tolist() == values.tolist()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="No such file"):
        load_report(tmp_path / "none.json")


def test_a_directory_that_takes_no_files_is_named_and_nothing_is_left(report: Report, tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    with pytest.raises(ResultsError, match=r"file/result\.json"):
        save_report(report, taken / "result.json")


def test_a_file_that_is_replaced_survives_a_failure(report: Report, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "result.json"
    save_report(report, path)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ResultsError, match="No space left"):
        save_report(msgspec.structs.replace(report, model="other"), path)
    assert load_report(path).model == report.model


DAMAGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "without a model": lambda document: document.pop("model"),
    "with an unknown field": lambda document: document.update(unknown=1),
    "with a column that cannot be unpacked": lambda document: block_of(document).update(response_time="AAAA"),
    "with a short column": lambda document: block_of(document).update(send_lag=column([1])),
    "with failures without a time": lambda document: block_of(document).update(failed_kind=column([0])),
    "with an unknown failure": lambda document: block_of(document).update(
        failed_kind=column([3]), failed_at=column([0])
    ),
    "of another format": lambda document: document.update(format=1),
}


def block_of(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["targets"][0]["blocks"][0]
    return found


def column(values: list[int]) -> str:
    text: str = msgspec.json.decode(msgspec.json.encode(pack(np.array(values, dtype=np.int64))))
    return text


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_file_is_named(report: Report, tmp_path: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    path = tmp_path / "result.json"
    save_report(report, path)
    document = json.loads(path.read_bytes())
    damage(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ResultsError, match=r"result\.json"):
        load_report(path)


def test_no_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(os.urandom(100))
    with pytest.raises(ResultsError, match="not a result file"):
        load_report(path)
