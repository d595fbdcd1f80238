"""Names and recipes."""

import json
import subprocess
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store.errors import BuildFailed, InvalidName
from model_store.recipe import Imported, Recipe, Shipped, Variant, definition_of, fingerprint, split_name


@pytest.mark.parametrize(
    ("text", "expected"), [("a", ("a", "")), ("my-net.v2_b/3", ("my-net.v2_b", "3")), ("a/007", ("a", "7"))]
)
def test_a_name_may_carry_a_version(text, expected):
    assert split_name(text) == expected


@pytest.mark.parametrize(
    "text", ["", "../x", "a/../b", ".hidden", "a b", "a/0", "a/x", "a/1/2", "a/", "ä", "a\0", "-rf"]
)
def test_a_name_that_leaves_the_store_is_refused(text):
    with pytest.raises(InvalidName):
        split_name(text)


@given(st.text())
def test_whatever_is_accepted_is_one_plain_folder(text):
    try:
        name, version = split_name(text)
    except InvalidName:
        return
    assert not name.startswith((".", "-"))
    assert not set(name) & set("/\\\0 \n")
    assert version == "" or int(version) > 0


def test_recipes_survive_the_way_to_a_step():
    recipes = [
        Shipped("digits-mlp", "1"),
        Imported("a", "1", "/a.onnx", samples=("/x.npy",), tolerance=0.5),
        Variant("a-fp16", "1", "fp16", "/store/a/1", "key"),
    ]
    for recipe in recipes:
        assert msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe) == recipe


def imported(tmp_path, **more):
    return Imported("m", "1", str(tmp_path / "m.onnx"), **more)


def test_processing_is_read_and_checked(tmp_path):
    path = tmp_path / "processing.json"
    path.write_text(json.dumps({"postprocessing": [{"step": "top_k", "output": "y", "k": 3}]}))
    assert definition_of(imported(tmp_path, processing=str(path))).postprocessing[0].k == 3
    path.write_text(json.dumps({"preprocessing": [{"step": "run", "code": "rm"}]}))
    with pytest.raises(BuildFailed, match=r"processing\.json: Invalid value 'run'"):
        definition_of(imported(tmp_path, processing=str(path)))


def test_samples_are_named_for_their_files_and_numbered_where_two_are_alike(tmp_path):
    paths = [tmp_path / "a" / "x.npy", tmp_path / "b" / "x.npy", tmp_path / "y.npy"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        np.save(path, np.zeros((1, 2)))

    def names(*chosen):
        return [sample.name for sample in definition_of(imported(tmp_path, samples=chosen)).samples()]

    assert names(str(paths[0]), str(paths[2])) == ["x", "y"]
    assert names(*map(str, paths)) == ["x-0", "x-1", "y-2"]


def test_labels_and_assets_are_the_users_files(tmp_path):
    (tmp_path / "labels.txt").write_text("Zürich\nBern\n", "utf-8")
    definition = definition_of(
        imported(tmp_path, labels=str(tmp_path / "labels.txt"), assets=(str(tmp_path / "tokenizer.json"),))
    )
    assert definition.labels() == ["Zürich", "Bern"]
    assert definition.assets() == {"tokenizer.json": tmp_path / "tokenizer.json"}
    assert definition_of(imported(tmp_path)).labels is None


def test_every_file_of_a_folder_counts(tmp_path):
    (tmp_path / "saved" / "variables").mkdir(parents=True)
    (tmp_path / "saved" / "variables" / "data").write_bytes(b"")
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    names = [path.name for path in Imported("m", "1", str(tmp_path / "saved"), labels="/labels.txt").files()]
    assert names == ["saved_model.pb", "data", "labels.txt"]


def test_a_fingerprint_is_of_names_and_contents(tmp_path):
    def prints(name, content):
        (tmp_path / name).write_bytes(content)
        return fingerprint([tmp_path / name])

    assert prints("a", b"1") == prints("a", b"1")
    assert len({prints("a", b"1"), prints("a", b"2"), prints("b", b"1"), fingerprint([])}) == 4


def test_samples_and_evaluation_are_arrays_or_an_error(tmp_path):
    np.savez(tmp_path / "e.npz", x=np.zeros((4, 2)), classes=np.zeros(4, int))
    evaluation = definition_of(imported(tmp_path, evaluation=str(tmp_path / "e.npz"))).evaluation()
    assert (list(evaluation.inputs), evaluation.classes.shape) == (["x"], (4,))
    np.savez(tmp_path / "no-classes.npz", x=np.zeros((4, 2)))
    with pytest.raises(BuildFailed, match="has no array 'classes'"):
        definition_of(imported(tmp_path, evaluation=str(tmp_path / "no-classes.npz"))).evaluation()
    (tmp_path / "s.npy").write_bytes(b"junk")
    with pytest.raises(BuildFailed, match=r"s\.npy is no \.npy or \.npz file that can be read"):
        definition_of(imported(tmp_path, samples=(str(tmp_path / "s.npy"),))).samples()
    np.save(tmp_path / "o.npy", np.array([{}], dtype=object))
    with pytest.raises(BuildFailed, match=r"o\.npy is no"):
        definition_of(imported(tmp_path, samples=(str(tmp_path / "o.npy"),))).samples()


def test_reading_a_recipe_imports_no_framework():
    heavy = ("torch", "tensorflow", "keras", "onnx", "sklearn", "transformers")
    code = f"import sys, model_store.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
