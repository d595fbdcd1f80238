"""The command line: looking at the store, checking it and taking models out of it."""

import json

import pytest
from support.tiny_store import make_store

from model_store.definitions import DEFINITIONS

COMMANDS = ["list", "build", "import", "verify", "inspect", "rm"]


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def test_list_of_an_empty_store_says_how_to_fill_it(run, tmp_path):
    code, out, _ = run("list", "--store", tmp_path / "none")
    assert code == 0
    assert "holds no models" in out
    assert "model-store build --all" in out
    assert all(name in out for name in DEFINITIONS)


def test_list_for_people_and_for_programs(run, store):
    code, out, _ = run("list", "--store", store)
    assert code == 0
    assert "double" in out
    assert max(len(line) for line in out.splitlines()) <= 80
    code, out, _ = run("list", "--store", store, "--json")
    assert "double" in [model["name"] for model in json.loads(out)["models"]]
    assert json.loads(out)["buildable"] == [*DEFINITIONS]


def test_the_store_comes_from_the_environment(run, store, monkeypatch):
    monkeypatch.setenv("GATEWAY_MODEL_STORE", str(store))
    assert "double" in run("list")[1]


def test_inspect_for_people_and_for_programs(run, store):
    code, out, _ = run("inspect", "double", "--store", store)
    assert code == 0
    assert "onnx/model.onnx" in out
    assert "n × 2" in out
    assert json.loads(run("inspect", "double", "--store", store, "--json")[1])["signature"]["inputs"][0]["name"] == "x"


def test_inspect_takes_a_version(run, workshop):
    workshop.build()
    assert json.loads(run("inspect", "tiny/1", "--store", workshop.store.root, "--json")[1])["version"] == "1"
    code, _, err = run("inspect", "tiny/2", "--store", workshop.store.root)
    assert code == 1
    assert "model 'tiny' has no version '2'" in err


@pytest.mark.parametrize("command", ["inspect", "verify", "rm"])
def test_a_model_that_is_not_there_is_one_sentence_and_exit_code_1(run, store, command):
    code, out, err = run(command, "tripel", "--store", store)
    assert (code, out) == (1, "")
    assert err.startswith("model-store: model 'tripel' is not in the store")
    assert err.count("\n") == 1


def test_verify_for_people_and_for_programs(run, workshop):
    model = workshop.build().model
    code, out, _ = run("verify", "tiny", "--store", workshop.store.root)
    assert code == 0
    assert "tiny/1" in out
    code, out, _ = run("verify", "--all", "--json", "--store", workshop.store.root)
    assert code == 0
    assert json.loads(out).keys() == {"tiny/1"}
    assert json.loads(out)["tiny/1"].keys() == model.manifest.parity.keys()
    assert "Proof" not in out


def test_verify_goes_on_after_a_model_that_fails(run, workshop, play):
    for name in ("a/1", "b/1", "b/2"):
        code, *_ = run("import", workshop.file, "--name", name, "--store", workshop.store.root)
        assert code == 0
    (workshop.store.get("a").directory / "onnx" / "model.onnx").write_bytes(b"changed")
    code, out, err = run("verify", "--all", "--json", "--store", workshop.store.root)
    assert code == 1
    assert json.loads(out).keys() == {"b/1", "b/2"}
    assert "onnx/model.onnx is corrupt" in err


def test_verify_of_a_name_takes_its_newest_version(run, workshop):
    for name in ("b/9", "b/10"):
        run("import", workshop.file, "--name", name, "--store", workshop.store.root)
    for argument, version in (("b", "b/10"), ("b/9", "b/9")):
        assert json.loads(run("verify", argument, "--json", "--store", workshop.store.root)[1]).keys() == {version}


def test_a_corrupt_artefact_is_one_sentence_and_exit_code_1(run, store):
    (store / "double" / "1" / "onnx" / "model.onnx").write_bytes(b"changed")
    code, _, err = run("verify", "double", "--store", store)
    assert code == 1
    assert "onnx/model.onnx is corrupt" in err.replace("\n", "")


def test_rm_takes_out_a_version_or_all_of_them(run, workshop):
    for name in ("b/1", "b/2", "c/1", "d/1"):
        run("import", workshop.file, "--name", name, "--store", workshop.store.root)
    assert run("rm", "b/1", "--store", workshop.store.root)[:2] == (0, "b: removed version 1\n")
    assert workshop.store.versions("b") == ["2"]
    assert run("rm", "b", "c", "--store", workshop.store.root)[0] == 0
    assert workshop.store.names() == ["d"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect"],
        ["inspect", "../double"],
        ["inspect", "double/x"],
        ["verify"],
        ["verify", "--all", "double"],
        ["rm"],
        ["rm", "double/0"],
        ["nonsense"],
    ],
)
def test_wrong_arguments_exit_with_2(run, store, arguments):
    code, out, err = run(*arguments, *(["--store", store] if arguments[0] != "nonsense" else []))
    assert (code, out) == (2, "")
    assert err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_shows_an_example_in_80_columns(run, command, option):
    code, out, _ = run(command, option)
    assert code == 0
    assert f"model-store {command}" in out.partition("Example")[2]
    assert max(len(line) for line in out.splitlines()) <= 80


def test_without_a_command_all_of_them_are_told(run):
    _, out, err = run()
    assert all(f" {command} " in out + err for command in COMMANDS)
