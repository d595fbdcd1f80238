import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from support.manifests import make_manifest

from model_store.calibration import calibrate
from model_store.engines import onnxruntime as engine_module
from model_store.errors import EngineError
from model_store.manifest import Artifact

ROW = {"samples": {"x": np.arange(3, dtype=np.float32)[None]}}


class Played:
    """An engine whose settings say how long it takes, and that remembers what it ran."""

    choices: ClassVar = {"ms": (1, 4, 8), "fails": (True,)}
    offered = ({},)
    seen: ClassVar = []

    def __init__(self, settings):
        self.settings = settings

    @classmethod
    def candidates(cls, artifact):
        return cls.offered

    @classmethod
    def load(cls, artifact, *, signature, device, threads, settings):
        assert (device, threads) == ("cpu", 1)
        return cls(settings)

    def run(self, inputs):
        if self.settings.get("fails"):
            raise RuntimeError("not with this graph")
        self.seen.append((dict(self.settings), len(inputs["x"])))
        time.sleep(self.settings.get("ms", 4) / 1000)


@pytest.fixture
def played(monkeypatch):
    monkeypatch.setattr(engine_module, "OnnxruntimeEngine", Played)
    monkeypatch.setattr(Played, "seen", [])

    def offer(*settings):
        monkeypatch.setattr(Played, "offered", settings)

    return offer


def run(tmp_path, shape=(-1, 3), seconds=0.5, **changes):
    (tmp_path / "m.onnx").touch()
    artifact = Artifact("m.onnx", 0, {}, settings={"ms": 8})
    manifest = make_manifest(
        "m", [("x", "FP32", shape)], [("y", "FP32", shape)], artifacts={"onnx": artifact}, **changes
    )
    return calibrate("onnxruntime", Path(tmp_path), manifest, ROW, seconds)


def test_the_fastest_settings_are_found_and_everything_tried_is_told(played, tmp_path):
    played({}, {"ms": 8}, {"ms": 1})
    found = run(tmp_path)
    assert found.settings == {"ms": 1}
    assert [trial.settings for trial in found.tried] == [{}, {"ms": 8}, {"ms": 1}]
    assert found.latency_ms == found.tried[2].latency_ms
    assert found.latency_ms.keys() == {"1", "8"}
    assert 1 < found.latency_ms["1"] < found.tried[0].latency_ms["1"] < found.tried[1].latency_ms["1"]


def test_without_alternatives_there_are_measurements_all_the_same(played, tmp_path):
    played({})
    found = run(tmp_path, seconds=0.05)
    assert found.settings == {}
    assert found.latency_ms.keys() == {"1", "8"}


def test_rows_are_repeated_to_fill_a_batch_that_the_model_takes(played, tmp_path):
    played({})
    assert run(tmp_path, max_batch_size=4, seconds=0.05).latency_ms.keys() == {"1", "4"}
    assert {rows for _, rows in Played.seen} == {1, 4}


def test_a_model_without_batches_runs_as_it_is(played, tmp_path):
    played({})
    assert run(tmp_path, shape=(1, 3), seconds=0.05).latency_ms.keys() == {"1"}


def test_a_batch_that_would_take_too_long_is_left_out(played, tmp_path):
    played({})
    assert run(tmp_path, seconds=0.01).latency_ms.keys() == {"1"}


def test_settings_that_do_not_suit_the_model_are_no_candidate(played, tmp_path, capsys):
    played({}, {"fails": True})
    assert [trial.settings for trial in run(tmp_path, seconds=0.05).tried] == [{}]
    assert "not with this graph" in capsys.readouterr().out


def test_a_model_that_does_not_run_at_all_is_one_sentence(played, tmp_path, monkeypatch):
    played({})
    monkeypatch.setattr(Played, "run", lambda self, inputs: 1 / 0)
    with pytest.raises(EngineError, match="onnxruntime does not run the model: division by zero"):
        run(tmp_path)
