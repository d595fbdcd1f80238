"""What a user may hand in, and what is said when it is not a model."""

import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch

from model_store.errors import BuildFailed, UnsafeArchive
from model_store.sources.opening import import_file, local_files, make_source, open_native

NET = """
import torch
from helper_of_the_net import WIDTH

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(WIDTH, 2)

    def forward(self, x):
        return self.layer(x)

def build():
    return Net()

def broken():
    raise RuntimeError("no disk\\nsecond line")

READY = Net()
"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "helper_of_the_net.py").write_text("WIDTH = 3\n")
    path = tmp_path / "net_of_the_test.py"
    path.write_text(NET)
    before = [*sys.path]
    yield path
    sys.path[:] = before
    for name in ("helper_of_the_net", "net_of_the_test"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("entry", ["Net", "build", "READY"])
def test_a_python_file_gives_a_class_a_function_or_the_model_itself(net, entry):
    assert type(open_native(net, entry)).__name__ == "Net"


def test_a_wrong_name_lists_the_right_ones(net):
    with pytest.raises(BuildFailed, match=r"has no 'buidl'; it defines Net, build, broken"):
        open_native(net, "buidl")


def test_a_function_that_fails_is_quoted(net):
    with pytest.raises(BuildFailed, match=r"broken\(\) failed: RuntimeError: no disk$"):
        open_native(net, "broken")


def test_a_file_that_does_not_import_is_named(tmp_path):
    path = tmp_path / "does_not_import.py"
    path.write_text("import no_such_package\n")
    with pytest.raises(BuildFailed, match=r"does_not_import.py cannot be imported: ModuleNotFoundError"):
        open_native(path, "build")


def test_neighbours_that_are_imported_belong_to_the_model(net):
    import_file(net)
    assert [path.name for path in local_files(net)] == ["helper_of_the_net.py", "net_of_the_test.py"]


def test_weights_fit_or_their_keys_are_named(net, tmp_path):
    weights = tmp_path / "w.pt"
    good = open_native(net, "Net").state_dict()
    torch.save(good, weights)
    loaded = open_native(net, "Net", weights)
    assert torch.equal(loaded.layer.weight, good["layer.weight"])
    torch.save({"layer.weight": torch.zeros(2, 5), "extra": torch.zeros(1)}, weights)
    expected = r"missing: layer.bias; unknown: extra; of another shape: layer.weight \[2, 5\] instead of \[2, 3\]"
    with pytest.raises(BuildFailed, match=expected):
        open_native(net, "Net", weights)


def test_weights_alone_are_no_model(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(BuildFailed, match=r"holds weights alone: import the class with --weights w\.pt"):
        open_native(tmp_path / "w.pt", trust=True)


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl"])
def test_a_pickle_is_not_even_opened_without_trust(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(BuildFailed, match="is a pickle, and loading one runs whatever it says: give --trust"):
        open_native(path)
    assert not (tmp_path / "ran").exists()


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).touch, (self.path,))


def test_a_pickled_module_is_not_loaded_without_trust(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pt")
    with pytest.raises(BuildFailed, match=r"pickled module.*give --trust if you trust it, or export it as \.pt2"):
        open_native(tmp_path / "m.pt")
    assert isinstance(open_native(tmp_path / "m.pt", trust=True), torch.nn.Linear)


@pytest.mark.parametrize("name", ["bomb.pt2", "bomb.pt", "bomb.keras"])
def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data.pkl", bytes(100 << 20))
    with pytest.raises(UnsafeArchive, match="zip bomb"):
        open_native(tmp_path / name, trust=True)


@pytest.mark.parametrize("name", ["junk.pt2", "junk.pt", "junk.joblib"])
def test_junk_is_one_sentence_that_names_the_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(BuildFailed, match=rf"{name} cannot be loaded"):
        open_native(tmp_path / name, trust=True)


def test_what_is_not_there_and_what_is_unknown(tmp_path):
    with pytest.raises(BuildFailed, match=r"no\.onnx: no such file or folder"):
        open_native(tmp_path / "no.onnx")
    (tmp_path / "model.xyz").write_text("")
    with pytest.raises(BuildFailed, match=r"unknown kind of model; one of \.py:NAME"):
        open_native(tmp_path / "model.xyz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BuildFailed, match=r"without saved_model\.pb"):
        open_native(tmp_path / "empty")


def test_something_else_is_no_model():
    with pytest.raises(BuildFailed, match=r"a builtins\.dict is no model"):
        make_source({}, [{"": np.zeros((1, 2), np.float32)}])
