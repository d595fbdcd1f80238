"""``model-store build`` and ``model-store import``, with the steps of the build played by hand."""

import json

import pytest

from model_store.definitions import DEFINITIONS
from model_store.errors import BuildFailed
from model_store.routes import TARGETS


@pytest.fixture
def arguments(workshop):
    """An import of ``tiny``."""
    return ["import", workshop.file, "--name", "tiny", "--store", workshop.store.root]


def test_a_model_that_ships_is_built_and_then_up_to_date(run, workshop):
    code, out, err = run("build", "digits-mlp", "--store", workshop.store.root)
    assert code == 0
    assert "digits-mlp/1: built (" in out
    assert max(len(line) for line in out.splitlines()[:-1]) <= 80
    code, out, err = run("build", "digits-mlp", "--store", workshop.store.root)
    assert (code, err) == (0, "")
    assert out.startswith("digits-mlp/1: up to date (")
    assert "digits-mlp/1: built (" in run("build", "digits-mlp", "--force", "--store", workshop.store.root)[1]


def test_all_builds_every_model_that_ships_two_at_a_time(run, workshop):
    code, out, _ = run("build", "--all", "--jobs", "2", "--json", "--store", workshop.store.root)
    assert code == 0
    assert json.loads(out).keys() == {*DEFINITIONS}
    assert workshop.store.names() == sorted(DEFINITIONS)


def test_a_version_that_ships_may_be_named(run, workshop):
    assert run("build", "digits-mlp/1", "--store", workshop.store.root)[0] == 0
    code, _, err = run("build", "digits-mlp/2", "--store", workshop.store.root)
    assert (code, err) == (2, "model-store: 'digits-mlp' ships in version 1, not 2\n")


def test_an_import_is_built_and_then_up_to_date(run, arguments, workshop):
    code, out, _ = run(*arguments)
    assert code == 0
    assert "tiny/1: built (" in out
    assert "up to date" in run(*arguments)[1]
    workshop.file.write_bytes(b"other weights")
    assert "tiny/1: built (" in run(*arguments)[1]


def test_an_import_without_a_version_is_of_the_newest_one(run, arguments, workshop):
    arguments[3] = "tiny/3"
    run(*arguments)
    arguments[3] = "tiny"
    assert "tiny/3: up to date" in run(*arguments)[1]


def test_results_for_programs(run, arguments):
    code, out, _ = run(*arguments, "--json")
    result = json.loads(out)["tiny"]
    assert (code, result["status"], result["failed"]) == (0, "built", {})
    assert result["artifacts"].keys() == {*TARGETS}
    assert "source-pytorch" in result["parity"]
    assert json.loads(run(*arguments, "--json")[1])["tiny"]["status"] == "up to date"


def test_only_takes_targets_with_commas_between_them(run, arguments):
    artifacts = json.loads(run(*arguments, "--only", "onnx, torchserve", "--json")[1])["tiny"]["artifacts"]
    assert artifacts.keys() == {"onnx", "torchserve"}


def test_variants_are_models_of_their_own(run, arguments, workshop):
    code, out, _ = run(*arguments, "--variant", "fp16", "--variant", "int8", "--json")
    assert code == 0
    assert [*json.loads(out)] == ["tiny", "tiny-fp16", "tiny-int8"]
    assert workshop.store.names() == ["tiny", "tiny-fp16", "tiny-int8"]


def test_a_server_that_could_not_be_reached_is_exit_code_3(run, arguments, play):
    play.broken["TensorFlow from ONNX"] = BuildFailed("tiny: TensorFlow from ONNX failed: no operator [Loop]")
    for status in ("built", "up to date"):  # it is still missing the second time
        code, out, err = run(*arguments)
        assert (code, f"tiny/1: {status}" in out) == (3, True)
        assert "model-store: tiny: not built for tensorflow: ONNX → TensorFlow: " in err
        assert "no operator [Loop]" in err
    code, out, _ = run(*arguments, "--json")
    assert (code, json.loads(out)["tiny"]["failed"].keys()) == (3, {"tensorflow"})


def test_a_build_that_fails_is_one_sentence_and_exit_code_1(run, arguments, play, workshop):
    play.broken["Source"] = BuildFailed("tiny: Source failed: no weights")
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err == "model-store: tiny: Source failed: no weights\n"
    assert workshop.store.names() == []


def test_what_was_built_beside_a_failure_is_told(run, workshop, play):
    play.broken["Source", 2] = BuildFailed("digits-keras: Source failed: no data")
    code, out, err = run("build", "digits-mlp", "digits-keras", "minilm", "--json", "--store", workshop.store.root)
    assert (code, [*json.loads(out)]) == (1, ["digits-mlp", "minilm"])
    assert err.endswith("model-store: digits-keras: Source failed: no data\n")


def test_an_imported_model_is_not_for_build(run, arguments, workshop):
    run(*arguments)
    code, out, err = run("build", "tiny", "--store", workshop.store.root)
    assert (code, out) == (2, "")
    assert err == "model-store: 'tiny' was imported: run its `model-store import` again to build it anew\n"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([], "give the names of models, or --all for digits-forest"),
        (["--all", "digits-mlp"], "give names or --all, not both"),
        (["digits-mlp", "--only", "onnx,tpu"], "--only: 'tpu' is none of onnx, tensorflow, torchserve"),
        (["digits-mlp", "--variant", "fp8"], "--variant: 'fp8' is none of fp16, int8"),
        (["digits-mlp", "--jobs", "0"], "--jobs"),
        (["--fast", "digits-mlp"], "--fast"),
        (["nonesuch"], "no model definition 'nonesuch'; one of"),
        (["digits-mlp", "nonesuch"], "no model definition 'nonesuch'; one of"),
        (["../x"], "'..' is no model name"),
        (["digits-mlp/one"], "a version is a number from 1 on, as in digits-mlp/2"),
    ],
)
def test_wrong_arguments_of_build_exit_with_2_and_build_nothing(run, tmp_path, play, wrong, sentence):
    code, out, err = run("build", *wrong, "--store", tmp_path / "new")
    assert (code, out) == (2, "")
    assert sentence in " ".join(err.replace("│", " ").split())
    assert play.ran == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["{folder}/no.onnx", "--name", "x"], "no.onnx: no such file"),
        (["{folder}/net.py", "--name", "x"], "say what in it makes the model"),
        (["{folder}/net.py:build"], "--name"),
        (["{folder}/net.py:build", "--name", "digits-mlp"], "'digits-mlp' is a model that ships"),
        (["{folder}/net.py:build", "--name", ".x"], "'.x' is no model name"),
        (["{folder}/net.py:build", "--name", "x", "--sample", "{folder}/no.npy"], "no.npy: no such file"),
        (["{folder}/net.py:build", "--name", "x", "--only", "gpu"], "--only: 'gpu' is none of"),
        (["{folder}/net.py:build", "--name", "x", "--variant", "int4"], "--variant: 'int4' is none of"),
        (["{folder}/net.py:build", "--name", "x", "--max-batch", "0"], "--max-batch"),
        (["{folder}/net.py:build", "--name", "x", "--tolerance", "-1"], "--tolerance"),
        (["{folder}/net.py:build", "--name", "x", "--tolerance", "nan"], "--tolerance"),
        (["{folder}/net.py:build", "--name", "x", "--tolerance", "inf"], "the tolerance must be a finite number"),
    ],
)
def test_wrong_arguments_of_import_exit_with_2_and_build_nothing(run, tmp_path, play, wrong, sentence):
    (tmp_path / "net.py").write_text("")
    code, out, err = run("import", *[word.format(folder=tmp_path) for word in wrong], "--store", tmp_path / "new")
    assert (code, out) == (2, "")
    assert sentence in " ".join(err.replace("│", " ").split())
    assert play.ran == []
    assert not (tmp_path / "new").exists()
