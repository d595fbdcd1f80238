import msgspec
import numpy as np
import pytest
from support.manifests import make_manifest
from support.tiny_store import make_store

from model_store.errors import CorruptArtifact, ModelMissing
from model_store.manifest import load_manifest, save_manifest
from model_store.store import ModelStore, StoredModel, default_root


@pytest.fixture
def store(tmp_path):
    return ModelStore(make_store(tmp_path / "store"))


def copy_version(store, name, version):
    manifest = load_manifest(store.root / name / "1")
    (store.root / name / version).mkdir()
    save_manifest(store.root / name / version, msgspec.structs.replace(manifest, version=version))


def test_an_absent_store_is_empty(tmp_path):
    assert ModelStore(tmp_path / "nowhere").names() == []


def test_versions_are_numbers_not_words(store):
    for version in ("2", "10"):
        copy_version(store, "double", version)
    assert store.versions("double") == ["1", "2", "10"]
    assert store.get("double").manifest.version == "10"
    assert store.get("double", "2").manifest.version == "2"


def test_hidden_and_unfinished_folders_are_no_versions(store):
    for name in (".builds", "3", "notes"):
        (store.root / "double" / name).mkdir()
    assert store.versions("double") == ["1"]
    (store.root / "empty").mkdir()
    assert "empty" not in store.names()


def test_a_missing_model_says_what_there_is_and_how_to_build_it(store):
    with pytest.raises(ModelMissing, match=r"'tripel'.*double.*model-store build tripel"):
        store.get("tripel")
    with pytest.raises(ModelMissing, match=r"no version '7'.*\['1'\]"):
        store.get("double", "7")


@pytest.mark.parametrize("name", ["", ".", "..", "../store/double", "a/b"])
def test_a_name_cannot_leave_the_store(store, name):
    with pytest.raises(ModelMissing):
        store.get(name)


def test_the_directory_stays_whole_when_the_link_moves(store):
    home = store.root / "double"
    (home / "1").rename(home / "first")
    (home / "1").symlink_to("first")
    assert store.get("double").directory == (home / "first").resolve()


def test_artifacts_by_target(store):
    assert store.get("double").artifact("onnx").is_file()
    with pytest.raises(CorruptArtifact, match=r"no artefact for tensorflow"):
        store.get("double").artifact("tensorflow")


def test_samples_come_by_input_name(store):
    (sample,) = store.get("double").samples().values()
    np.testing.assert_array_equal(sample["x"], np.zeros((1, 2), np.float32))


def stored(tmp_path, **changes):
    (tmp_path / "samples").mkdir()
    inputs = [("ids", "INT64", (-1, -1)), ("mask", "INT64", (-1, -1))]
    return StoredModel(tmp_path, make_manifest("words", inputs, [("y", "FP32", (-1, 2))], **changes))


def test_samples_of_several_inputs_come_in_the_models_order(tmp_path):
    model = stored(tmp_path, samples=("samples/a.npz",))
    np.savez(tmp_path / "samples" / "a.npz", mask=np.ones((1, 3), np.int64), ids=np.zeros((1, 3), np.int64))
    ((name, sample),) = model.samples().items()
    assert (name, [*sample]) == ("a", ["ids", "mask"])
    assert sample["mask"].tolist() == [[1, 1, 1]]


def test_pictures_are_no_samples_but_what_they_were_made_of(tmp_path):
    model = stored(tmp_path, samples=("samples/a.npz", "samples/a.png"))
    assert model.sample_files() == [tmp_path / "samples" / "a.npz"]
    assert model.pictures() == {"a": tmp_path / "samples" / "a.png"}


def test_labels_are_lines_and_a_model_may_have_none(tmp_path):
    assert stored(tmp_path).labels() == []
    (tmp_path / "labels.txt").write_text("Zürich\nBern\n", "utf-8")
    manifest = make_manifest("cities", [], [], labels="labels.txt")
    assert StoredModel(tmp_path, manifest).labels() == ["Zürich", "Bern"]


def test_a_pickle_is_no_sample(tmp_path):
    model = stored(tmp_path, samples=("samples/a.npy",))
    np.save(tmp_path / "samples" / "a.npy", np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        model.samples()


def test_the_root_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEWAY_MODEL_STORE", str(tmp_path))
    assert default_root() == tmp_path
    monkeypatch.delenv("GATEWAY_MODEL_STORE")
    assert str(default_root()) == ".models"
