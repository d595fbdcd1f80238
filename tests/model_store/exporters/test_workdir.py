"""What one step leaves for the next."""

import sys
from pathlib import Path

import numpy as np
import pytest

from model_store.exporters.workdir import Workdir, load_tensors, save_tensors, step_workdir
from model_store.recipe import Imported, Shipped, Variant


def test_a_step_finds_its_folders_on_the_command_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["step", "/m", "/s", "more"])
    assert step_workdir() == Workdir(Path("/m"), Path("/s"))


@pytest.mark.parametrize(
    "recipe", [Shipped("minilm", "1"), Imported("a", "2", "/a.onnx", trust=True), Variant("a", "1", "int8", "/b", "k")]
)
def test_the_recipe_is_read_as_it_was_written(work, recipe):
    work.write_recipe(recipe)
    assert work.recipe() == recipe


def test_tensors_are_read_in_the_order_of_their_sets(tmp_path):
    sets = {"b": {"x": np.arange(3, dtype=np.int8)}, "a.1": {"y": np.ones((2, 0), np.float16), "x": np.zeros(1)}}
    save_tensors(tmp_path / "sets", sets)
    found = load_tensors(tmp_path / "sets")
    assert [*found] == ["a.1", "b"]
    for name, tensors in sets.items():
        assert {key: (array.dtype, array.tolist()) for key, array in found[name].items()} == {
            key: (array.dtype, array.tolist()) for key, array in tensors.items()
        }


def test_a_folder_that_is_not_there_has_no_tensors(tmp_path):
    assert load_tensors(tmp_path / "nowhere") == {}


def test_pickles_are_neither_written_nor_loaded(tmp_path):
    pickled = np.array([{}], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        save_tensors(tmp_path, {"a": {"x": pickled}})
    np.savez(tmp_path / "a.npz", x=pickled)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_tensors(tmp_path)


@pytest.mark.parametrize("name", ["file", "args", "allow_pickle", "a/b", "ä"])
def test_a_tensor_may_have_any_name(tmp_path, name):
    save_tensors(tmp_path, {"a": {name: np.arange(3)}})
    np.testing.assert_array_equal(load_tensors(tmp_path)["a"][name], np.arange(3))
