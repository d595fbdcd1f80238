"""A built model is checked again, with the engines played by hand."""

import tempfile

import msgspec
import numpy as np
import pytest
from support.played_build import files_of, quiet

from model_store.errors import BuildFailed, CorruptArtifact, ParityFailed
from model_store.manifest import save_manifest
from model_store.verify import verify


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where logs and scratch folders go."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def model(workshop, play):
    built = workshop.build().model
    play.ran.clear()
    return built


def test_every_engine_answers_again(model, play, temporary):
    found = verify(model, quiet())
    assert play.ran == ["Proof onnxruntime", "Proof tensorflow", "Proof pytorch"]
    assert found.model == model
    assert found.summary() == model.manifest.parity
    assert [*temporary.iterdir()] == []


def test_the_model_stays_as_it_was(model):
    before = {path: (model.directory / path).stat().st_mtime_ns for path in files_of(model.directory)}
    verify(model, quiet())
    assert {path: (model.directory / path).stat().st_mtime_ns for path in files_of(model.directory)} == before


def test_an_engine_that_answers_otherwise_now_is_told(model, play):
    play.wrong["tensorflow"] = 0.5
    with pytest.raises(ParityFailed, match=r"^tiny: source and tensorflow differ by 0\.5 in 'y'"):
        verify(model, quiet())


def test_an_engine_is_asked_with_its_settings(workshop, play):
    play.settings = {"onnxruntime": {"optimization": "all"}}
    model = workshop.build().model
    play.harm = 0.5
    with pytest.raises(ParityFailed, match="source and onnxruntime differ"):
        verify(model, quiet())


def test_a_changed_file_is_named_before_anything_runs(model, play):
    (model.directory / "reference" / "sample-s0.npz").write_bytes(b"changed")
    with pytest.raises(CorruptArtifact, match=r"reference/sample-s0\.npz is corrupt"):
        verify(model, quiet())
    assert play.ran == []


def test_only_what_was_built_is_asked(workshop, play):
    model = workshop.build(only=["tensorflow"]).model
    play.ran.clear()
    assert verify(model, quiet()).summary().keys() == {"source-tensorflow"}
    assert play.ran == ["Proof tensorflow"]


def test_the_log_of_a_step_that_failed_is_kept(model, play, temporary):
    play.broken["Proof tensorflow"] = BuildFailed("tiny: Proof tensorflow failed: no such device")
    with pytest.raises(BuildFailed, match="no such device"):
        verify(model, quiet())
    (logs,) = temporary.iterdir()
    assert logs.name.startswith("model-store-logs-")


@pytest.mark.parametrize(("version", "random"), [(np.__version__, True), ("1.0", False)])
def test_another_numpy_draws_other_numbers_so_its_random_inputs_are_left_out(model, version, random):
    manifest = msgspec.structs.replace(model.manifest, tools=model.manifest.tools | {"numpy": version})
    save_manifest(model.directory, manifest)
    found = verify(type(model)(model.directory, manifest), quiet())
    sets = {difference.inputs for difference in found.differences}
    assert any(name.startswith("random") for name in sets) == random
    assert {"sample-s0", "samples-batch-4"} <= sets
