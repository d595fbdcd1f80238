from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from loadtest.results import Report, ResultsError, load_report, pack, save_report, unpack


def test_what_was_saved_is_read_again(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.json"
    save_report(report, path)
    assert load_report(path) == report


def test_packed_values_survive() -> None:
    values = np.array([-1, 0, 2**62], dtype=np.int64)
    assert unpack(pack(values)).tolist() == values.tolist()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="No such file"):
        load_report(tmp_path / "none.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda document: document.pop("model"),
        lambda document: document.update(unknown=1),
        lambda document: document["targets"][0]["blocks"][0].update(response_time="AAAA"),
        lambda document: document["targets"][0]["blocks"][0].update(scheduled="AAAA"),
        lambda document: document.update(format=2),
    ],
)
def test_damaged_file_is_named(report: Report, tmp_path: Path, damage: object) -> None:
    path = tmp_path / "result.json"
    save_report(report, path)
    document = json.loads(path.read_bytes())
    damage(document)  # type: ignore[operator]
    path.write_text(json.dumps(document))
    with pytest.raises(ResultsError, match=r"result\.json"):
        load_report(path)


def test_no_json(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(os.urandom(100))
    with pytest.raises(ResultsError, match="not a result file"):
        load_report(path)
