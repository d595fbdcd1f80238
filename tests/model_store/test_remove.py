"""Taking a model out of the store: one version, or all of them."""

import threading

import pytest
from support.manifests import make_manifest

from model_store.errors import ModelMissing, StoreError
from model_store.manifest import save_manifest
from model_store.publish import build_lock, publish, staging
from model_store.remove import remove
from model_store.store import ModelStore


@pytest.fixture
def store(tmp_path):
    """``net`` in the versions 1, 2 and 10, and ``other``."""
    made = ModelStore(tmp_path)
    for name, version in (("net", "1"), ("net", "2"), ("net", "10"), ("other", "1")):
        with staging(tmp_path / name) as folder:
            save_manifest(folder, make_manifest(name, [], [], version=version))
            publish(folder, tmp_path / name, version)
    return made


def left(home):
    return [path.name for path in home.iterdir()]


def nobody_waits():
    raise AssertionError("nothing holds the lock")


def test_one_version_goes_and_the_others_stay(store):
    gone = store.get("net", "2").directory
    assert remove(store, "net", "2", nobody_waits) == ["2"]
    assert store.versions("net") == ["1", "10"]
    assert not gone.exists()
    assert store.get("net", "1").directory.is_dir()
    assert len([*(store.root / "net" / ".builds").iterdir()]) == 2


def test_without_a_version_all_of_them_go_with_their_logs(store):
    (store.root / "net" / ".logs").mkdir()
    assert remove(store, "net", "", nobody_waits) == ["1", "2", "10"]
    assert left(store.root / "net") == [".lock"]  # a build that waits holds it, and the next must find it
    assert store.names() == ["other"]


def test_the_last_version_takes_everything_along(store):
    for version in ("1", "2", "10"):
        remove(store, "net", version, nobody_waits)
    assert left(store.root / "net") == [".lock"]


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [("nut", "", "model 'nut' is not"), ("net", "3", "model 'net/3' is not"), ("..", "", r"model '\.\.' is not")],
)
def test_what_is_not_there_is_named_and_nothing_goes(store, name, version, message):
    with pytest.raises(ModelMissing, match=message):
        remove(store, name, version, nobody_waits)
    assert store.versions("net") == ["1", "2", "10"]


def test_a_build_that_runs_is_waited_for(store):
    order = []
    holding, waiting = threading.Event(), threading.Event()

    def take_out():
        holding.wait(10)
        remove(store, "net", "1", waiting.set)
        order.append("removed")

    thread = threading.Thread(target=take_out)
    thread.start()
    with build_lock(store.root / "net", nobody_waits):
        holding.set()
        assert waiting.wait(10)
        order.append("built")
        assert store.versions("net") == ["1", "2", "10"]
    thread.join(10)
    assert order == ["built", "removed"]


def test_a_model_that_no_build_published_is_not_touched(tmp_path):
    (tmp_path / "net" / "1").mkdir(parents=True)
    save_manifest(tmp_path / "net" / "1", make_manifest("net", [], []))
    with pytest.raises(StoreError, match=r"^net cannot be removed: "):
        remove(ModelStore(tmp_path), "net", "1", nobody_waits)
    assert ModelStore(tmp_path).versions("net") == ["1"]
