"""Which routes are taken, with the steps played by hand: a server is reached, or the attempts are told."""

import json

import numpy as np
import pytest
from support.played_build import archived, files_of

from model_store.engines.archive import SETTINGS
from model_store.errors import BuildFailed, DiskFull
from model_store.manifest import verify_checksums


@pytest.mark.parametrize("failure", ["the step fails", "the answers are wrong"])
def test_the_next_route_is_taken(workshop, play, failure):
    if failure == "the step fails":
        play.broken["TorchServe archive", 1] = BuildFailed("tiny: TorchServe archive failed: no operator")
    else:
        play.wrong["torch.export"] = 0.5
    play.forms = ("program.pt2", "script.pt")
    model = workshop.build().model
    assert model.manifest.artifacts["torchserve"].route == "TorchScript"
    assert archived(model)["payload"] == "script"
    assert model.manifest.failed == {}


def test_a_step_that_is_optional_may_fail(workshop, play):
    play.broken["Ahead-of-time compilation"] = BuildFailed("tiny: Ahead-of-time compilation failed: no compiler")
    manifest = workshop.build().model.manifest
    assert (manifest.artifacts["torchserve"].route, manifest.failed) == ("torch.export", {})


def test_an_optional_step_on_a_full_disk_ends_the_build(workshop, play):
    play.broken["Ahead-of-time compilation"] = DiskFull("tiny: the disk is full")
    with pytest.raises(DiskFull):
        workshop.build()
    assert play.ran[-1] == "Ahead-of-time compilation"


def test_a_form_that_is_missing_is_no_route(workshop, play):
    play.forms, play.missing = ("script.pt",), {"program.pt2": "torch.export: a branch"}
    artifacts = workshop.build().model.manifest.artifacts
    assert (artifacts["onnx"].route, artifacts["torchserve"].route) == ("torch.onnx of TorchScript", "TorchScript")
    assert play.ran.count("TorchServe archive") == 1


def test_a_target_that_no_route_reaches_is_listed_and_the_others_are_published(workshop, play):
    play.broken["TensorFlow from ONNX"] = BuildFailed("tiny: TensorFlow from ONNX failed: no operator Einsum")
    result = workshop.build()
    manifest = result.model.manifest
    assert set(manifest.artifacts) == {"onnx", "torchserve"}
    ((route, reason),) = [(attempt.route, attempt.reason) for attempt in manifest.failed["tensorflow"]]
    assert route == "ONNX → TensorFlow"
    assert reason.startswith("TensorFlow from ONNX failed: no operator Einsum; rewrite the operator")
    assert not (result.model.directory / "tensorflow").exists()
    assert set(manifest.parity) == {"source-onnxruntime", "source-pytorch", "onnxruntime-pytorch"}
    assert json.loads((result.model.directory / "parity.json").read_text())["failed"]["tensorflow"][0]["route"] == route
    assert not workshop.build().built


def test_without_an_onnx_file_its_successors_say_so(workshop, play):
    play.broken["ONNX from PyTorch"] = BuildFailed("tiny: ONNX from PyTorch failed: no operator")
    manifest = workshop.build().model.manifest
    assert set(manifest.artifacts) == {"torchserve"}
    assert [attempt.reason for attempt in manifest.failed["onnx"]] == [
        "ONNX from PyTorch failed: no operator; "
        "rewrite the operator with others, or serve the model without this server",
        "the source has no script.pt",
    ]
    (attempt,) = manifest.failed["tensorflow"]
    assert attempt.reason == "it starts from the ONNX file, which could not be made"


def test_the_rows_that_no_route_gets_right_are_kept(workshop, play):
    play.wrong["tensorflow"] = 0.5
    model = workshop.build().model
    assert "source and tensorflow differ by 0.5 in 'y'" in model.manifest.failed["tensorflow"][0].reason
    got, expected = (np.load(model.directory / "worst" / f"tensorflow-y-{part}.npy") for part in ("got", "expected"))
    np.testing.assert_allclose(got, expected + 0.5)
    assert "worst/tensorflow-y-input-x.npy" in model.manifest.files


def test_rows_of_a_route_that_another_took_over_from_are_not_kept(workshop, play):
    play.wrong["torch.export"] = 0.5
    assert not (workshop.build().model.directory / "worst").exists()


def test_settings_that_break_the_parity_are_dropped(workshop, play):
    play.settings, play.harm = {"onnxruntime": {"optimization": "all"}}, 0.5
    manifest = workshop.build().model.manifest
    assert manifest.artifacts["onnx"].settings == {}
    assert manifest.artifacts["onnx"].route == "torch.onnx"
    assert play.ran.count("Proof onnxruntime") == 2
    assert play.ran.count("ONNX from PyTorch") == 1


def test_settings_that_keep_the_parity_are_published(workshop, play):
    play.settings = {"onnxruntime": {"optimization": "all"}}
    artifact = workshop.build().model.manifest.artifacts["onnx"]
    assert (artifact.settings, artifact.latency_ms) == ({"optimization": "all"}, {"1": 0.5})


def test_an_archive_holds_the_settings_that_were_chosen(workshop, play):
    play.settings = {"pytorch": {"mode": "compile"}}
    model = workshop.build().model
    verify_checksums(model.directory, model.manifest)
    members = archived(model)
    assert json.loads(members[SETTINGS]) == model.manifest.artifacts["torchserve"].settings == {"mode": "compile"}
    assert model.manifest.artifacts["torchserve"].bytes == model.artifact("torchserve").stat().st_size


def test_an_artefact_that_is_wrong_without_settings_is_not_proven_twice(workshop, play):
    play.wrong["onnxruntime"] = 0.5
    workshop.build()
    assert play.ran.count("Proof onnxruntime") == 1


def test_a_quick_build_proves_without_calibrating_or_compiling(workshop, play):
    play.settings = {"onnxruntime": {"optimization": "all"}, "pytorch": {"mode": "aot"}}
    manifest = workshop.build(quick=True).model.manifest
    assert "Ahead-of-time compilation" not in play.ran
    assert {target: (artifact.settings, artifact.latency_ms) for target, artifact in manifest.artifacts.items()} == {
        target: ({}, {}) for target in ("onnx", "tensorflow", "torchserve")
    }
    assert all(pair.passed for pair in manifest.parity.values())


def test_a_quick_build_refuses_what_is_wrong_as_well(workshop, play):
    play.wrong["tensorflow"] = 0.5
    assert "tensorflow" in workshop.build(quick=True).model.manifest.failed


def test_only_leaves_no_trace_of_the_onnx_file_that_it_started_from(workshop, play):
    model = workshop.build(only=("tensorflow",)).model
    assert set(model.manifest.artifacts) == {"tensorflow"}
    assert not any(path.startswith("onnx") for path in files_of(model.directory))
    assert set(model.manifest.parity) == {"source-tensorflow"}
    assert json.loads((model.directory / "parity.json").read_text())["participants"].keys() == {"source", "tensorflow"}
    assert "TorchServe archive" not in play.ran


def test_only_does_not_fail_for_a_target_that_nobody_asked_for(workshop, play):
    play.broken["ONNX from PyTorch"] = BuildFailed("tiny: no operator")
    manifest = workshop.build(only=("torchserve",)).model.manifest
    assert (set(manifest.artifacts), manifest.failed) == ({"torchserve"}, {})


def test_only_makes_no_onnx_file_that_nothing_starts_from(workshop, play):
    play.framework, play.forms = "onnx", ("model.onnx",)
    workshop.build(only=("onnx",))
    assert play.ran == ["Source", "ONNX file", "Proof onnxruntime"]
