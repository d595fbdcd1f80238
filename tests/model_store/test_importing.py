"""What an import makes of its arguments."""

import json

import numpy as np
import pytest

from model_store.errors import BuildFailed, InvalidImport, InvalidName
from model_store.importing import ImportOptions, import_recipe
from model_store.store import ModelStore


@pytest.fixture
def store(tmp_path):
    return ModelStore(tmp_path / "store")


def test_an_import_makes_its_paths_absolute_and_takes_version_one(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("")
    np.save(tmp_path / "x.npy", np.zeros((1, 2)))
    recipe = import_recipe("net.py:build", "my-net", ImportOptions(samples=[tmp_path / "x.npy"]), store)
    assert (recipe.path, recipe.entry, recipe.version) == (str(tmp_path / "net.py"), "build", "1")
    assert [path.name for path in recipe.files()] == ["net.py", "x.npy"]


@pytest.mark.parametrize(
    ("source", "name", "error", "message"),
    [
        ("no.onnx", "m", InvalidImport, "no.onnx: no such file"),
        ("net.py", "m", InvalidImport, r"say what in it makes the model, as in net\.py:build"),
        ("net.py:build", "../m", InvalidName, "'..' is no model name"),
        ("net.py:build", "digits-mlp", InvalidName, "is a model that ships"),
    ],
)
def test_wrong_arguments_are_named(store, tmp_path, monkeypatch, source, name, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("")
    with pytest.raises(error, match=message):
        import_recipe(source, name, ImportOptions(), store)


def test_every_option_reaches_the_recipe(store, tmp_path):
    for name in ("net.py", "w.pt", "e.npz", "labels.txt", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "p.json").write_text("{}")
    options = ImportOptions(
        weights=tmp_path / "w.pt",
        evaluation=tmp_path / "e.npz",
        labels=tmp_path / "labels.txt",
        processing=tmp_path / "p.json",
        assets=[tmp_path / "tokenizer.json"],
        trust=True,
        description="a net",
        license="MIT",
        max_batch_size=4,
        tolerance=0.5,
    )
    recipe = import_recipe(f"{tmp_path}/net.py:Net", "net/2", options, store)
    given = (recipe.weights, recipe.evaluation, recipe.labels, recipe.processing, *recipe.assets)
    assert given == tuple(f"{tmp_path}/{name}" for name in ("w.pt", "e.npz", "labels.txt", "p.json", "tokenizer.json"))
    assert (recipe.name, recipe.version, recipe.entry, recipe.trust) == ("net", "2", "Net", True)
    assert (recipe.description, recipe.license, recipe.max_batch_size, recipe.tolerance) == ("a net", "MIT", 4, 0.5)


@pytest.mark.parametrize("version", ["2", "10"])
def test_without_a_version_it_is_the_newest_one_of_the_store(store, tmp_path, version):
    (tmp_path / "net.onnx").write_bytes(b"")
    for built in ("1", version):
        (store.root / "net" / built).mkdir(parents=True)
        (store.root / "net" / built / "manifest.json").write_text("{}")
    assert import_recipe(f"{tmp_path}/net.onnx", "net", ImportOptions(), store).version == version


@pytest.mark.parametrize("option", ["weights", "evaluation", "labels", "processing"])
def test_a_file_that_is_not_there_is_named(store, tmp_path, option):
    (tmp_path / "net.onnx").write_bytes(b"")
    options = ImportOptions(**{option: tmp_path / "nowhere"})
    with pytest.raises(InvalidImport, match="nowhere: no such file"):
        import_recipe(f"{tmp_path}/net.onnx", "net", options, store)


@pytest.mark.parametrize("tolerance", [float("nan"), float("inf")])
def test_a_tolerance_that_no_recipe_can_carry_is_refused(store, tmp_path, tolerance):
    (tmp_path / "net.onnx").write_bytes(b"")
    with pytest.raises(InvalidImport, match="the tolerance must be a finite number"):
        import_recipe(f"{tmp_path}/net.onnx", "net", ImportOptions(tolerance=tolerance), store)


def test_a_wrong_processing_file_is_told_before_anything_runs(store, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"")
    (tmp_path / "p.json").write_text(json.dumps({"preprocess": []}))
    with pytest.raises(BuildFailed, match=r"p\.json: .*unknown field `preprocess`"):
        import_recipe(f"{tmp_path}/net.onnx", "net", ImportOptions(processing=tmp_path / "p.json"), store)
