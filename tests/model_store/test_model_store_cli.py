import json
import sys

import pytest
from support.tiny_store import make_store

from model_store import cli
from model_store.definitions import DEFINITIONS


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line; gives exit code, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("GATEWAY_MODEL_STORE", raising=False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["model-store", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return ended.value.code or 0, captured.out, captured.err

    return call


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


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_model_that_is_not_there_is_one_sentence_and_exit_code_1(run, store, command):
    code, out, err = run(command, "tripel", "--store", store)
    assert (code, out) == (1, "")
    assert "model-store: model 'tripel' is not in the store" in err
    assert "Traceback" not in err


def test_a_corrupt_artefact_is_one_sentence_and_exit_code_1(run, store):
    (store / "double" / "1" / "onnx" / "model.onnx").write_bytes(b"changed")
    code, _, err = run("verify", "double", "--store", store)
    assert code == 1
    assert "onnx/model.onnx is corrupt" in err.replace("\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["build"],
        ["build", "nonesuch"],
        ["build", "digits-mlp", "nonesuch"],
        ["build", "--all", "digits-mlp"],
        ["build", "--fast", "digits-mlp"],
        ["inspect"],
        ["nonsense"],
    ],
)
def test_wrong_arguments_exit_with_2_and_build_nothing(run, tmp_path, arguments):
    code, out, err = run(*arguments, *(["--store", tmp_path / "new"] if arguments[0] != "nonsense" else []))
    assert (code, out) == (2, "")
    assert err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["list", "build", "verify", "inspect"])
def test_help_shows_an_example(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"model-store {command}" in out.partition("Example")[2]
    assert max(len(line) for line in out.splitlines()) <= 80
