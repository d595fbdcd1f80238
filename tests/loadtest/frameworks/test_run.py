"""The whole comparison, with real processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support import odd_engines
from support.tiny_store import make_store

from loadtest.errors import Unusable
from loadtest.frameworks import race
from loadtest.frameworks.contestants import Absent, Broken, Contestant
from loadtest.frameworks.racer import Racer
from loadtest.frameworks.results import FrameworksReport
from loadtest.frameworks.run import run_frameworks
from model_store.manifest import Origin
from model_store.originals import Given
from model_store.store import ModelStore, StoredModel


@pytest.fixture
def stored(tmp_path: Path) -> StoredModel:
    return ModelStore(make_store(tmp_path)).get("double")


@pytest.fixture(autouse=True)
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Racer]]:
    """None outlives the comparison, however it ends."""
    started: list[Racer] = []

    class Noted(Racer):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            started.append(self)

    monkeypatch.setattr(race, "Racer", Noted)
    yield started
    assert all(racer._process.poll() is not None for racer in started)


def silent(title: str) -> None:
    pass


def line_up(monkeypatch: pytest.MonkeyPatch, *contestants: Contestant | Absent | Broken) -> None:
    monkeypatch.setattr(race, "line_up", lambda stored, folder, given: list(contestants))


def test_a_model_that_was_built_for_one_framework_alone(stored: StoredModel) -> None:
    steps: list[str] = []
    report = run_frameworks(stored, inferences=25, batches=(1, 3), threads=1, seed=1, progress=steps.append)
    found = {one.framework: one for one in report.frameworks}
    assert {name: one.absent for name, one in found.items()} == {
        "PyTorch": "it was built without an artefact for torchserve",
        "TensorFlow": "it was built without an artefact for tensorflow",
        "Keras": "the original is of onnx: a test's model",
        "scikit-learn": "the original is of onnx: a test's model",
        "ONNX Runtime": "",
    }
    assert not any(one.problem for one in report.frameworks)
    onnxruntime = found["ONNX Runtime"]
    assert [one.batch for one in onnxruntime.batches] == [1, 3]
    for at in onnxruntime.batches:
        assert [len(times) for times in at.rounds_ns] == [2] * 5 + [1] * 15
        assert (at.inferences, at.ratio) == (25, None)
        assert 0 < at.p50.value <= at.p90.value <= at.p99.value
        assert not at.p99.enough
    assert onnxruntime.cold_start is not None
    assert onnxruntime.cold_start > 0
    assert onnxruntime.largest_difference == 0
    assert (report.verdict, report.interrupted, steps[-1]) == ("", False, "")
    assert report.environment.models.keys() == {"double/1"}
    assert msgspec.json.decode(msgspec.json.encode(report), type=FrameworksReport) == report


def test_the_others_go_on_when_one_fails_and_wrong_answers_win_nothing(
    stored: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    line_up(
        monkeypatch,
        Contestant("PyTorch", "fast", odd_engines.doubler),
        Contestant("TensorFlow", "wrong", odd_engines.tripler),
        Contestant("Keras", "dies", odd_engines.crasher),
        Broken("scikit-learn", "cannot be made again"),
        Contestant("ONNX Runtime", "slow", odd_engines.slow),
    )
    # A sample of zeros would hide that 3·x is not 2·x.
    np.save(stored.sample_files()[0], np.ones((1, 2), np.float32))
    report = run_frameworks(stored, inferences=40, batches=(1,), threads=1, seed=1, progress=silent)
    found = {one.framework: one for one in report.frameworks}
    assert [one.framework for one in report.frameworks if one.batches] == ["PyTorch", "ONNX Runtime"]
    assert found["TensorFlow"].problem.startswith("wrong answer: double: source and TensorFlow differ by 1 in 'y'")
    assert found["TensorFlow"].largest_difference == 1
    assert found["Keras"].problem == "its process was ended by SIGSEGV: libcrash: cannot go on"
    assert found["scikit-learn"].problem == "cannot be made again"
    (fast,), (slow,) = found["PyTorch"].batches, found["ONNX Runtime"].batches
    assert fast.ratio is None
    assert slow.ratio is not None
    assert slow.ratio.value == pytest.approx(slow.p50.value / fast.p50.value)


def test_ctrl_c_keeps_the_rounds_that_were_measured(stored: StoredModel, monkeypatch: pytest.MonkeyPatch) -> None:
    line_up(
        monkeypatch,
        Contestant("PyTorch", "", odd_engines.doubler),
        Contestant("ONNX Runtime", "", odd_engines.doubler),
    )

    def stop_in_the_third_round(title: str) -> None:
        if title.startswith("Measuring, round 3 "):
            raise KeyboardInterrupt

    report = run_frameworks(stored, inferences=100, batches=(1,), threads=1, seed=1, progress=stop_in_the_third_round)
    assert report.interrupted
    assert [[len(times) for times in one.batches[0].rounds_ns] for one in report.frameworks] == [[5, 5], [5, 5]]


def test_ctrl_c_while_loading_gives_a_report_without_numbers(
    stored: StoredModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    line_up(monkeypatch, Absent("Keras", "no"), Contestant("ONNX Runtime", "", odd_engines.doubler))

    def stop(title: str) -> None:
        if title.startswith("Warming up"):
            raise KeyboardInterrupt

    report = run_frameworks(stored, inferences=10, batches=(1,), threads=1, seed=1, progress=stop)
    assert (report.interrupted, report.verdict) == (True, "")
    assert [(one.framework, one.version, one.batches) for one in report.frameworks] == [
        ("Keras", "", ()),
        ("ONNX Runtime", "1.2", ()),
    ]


def test_a_batch_that_the_model_does_not_take(stored: StoredModel) -> None:
    with pytest.raises(Unusable, match=r"^--batch: model 'double' takes at most 8 rows at once, not 9$"):
        run_frameworks(stored, inferences=10, batches=(1, 9), threads=1, seed=1, progress=silent)


def test_an_original_that_is_not_there_or_not_measured(stored: StoredModel, tmp_path: Path) -> None:
    given = Given(tmp_path / "nowhere.joblib")
    with pytest.raises(Unusable, match=r"^--original: the original of 'double' is of onnx; only those of Keras and"):
        run_frameworks(stored, inferences=10, batches=(1,), threads=1, seed=1, progress=silent, original=given)
    fitted = msgspec.structs.replace(stored.manifest, origin=Origin("scikit-learn", "Pipeline"))
    model = StoredModel(stored.directory, fitted)
    with pytest.raises(Unusable, match=r"^--original: .*/nowhere\.joblib: no such file$"):
        run_frameworks(model, inferences=10, batches=(1,), threads=1, seed=1, progress=silent, original=given)


def test_more_threads_than_cores(stored: StoredModel) -> None:
    with pytest.raises(Unusable, match=r"^--threads: \d+ CPU cores can be used here, not 100000$"):
        run_frameworks(stored, inferences=10, batches=(1,), threads=100_000, seed=1, progress=silent)


@pytest.mark.parametrize(
    ("inferences", "rounds"),
    [(10, [1] * 10), (25, [2] * 5 + [1] * 15), (2000, [100] * 20), (2001, [96] * 6 + [95] * 15)],
)
def test_rounds_are_even_at_least_twenty_and_at_most_a_hundred_long(inferences: int, rounds: list[int]) -> None:
    assert race.rounds(inferences) == rounds
