"""A small net, compiled for real: with a batch and a length that are free, and limits that compiled code trusts."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from model_store.calibration.aot import compile_aot
from model_store.errors import BuildFailed
from model_store.oip_handler import library
from model_store.oip_handler.library import FACTS, Library, program_facts
from model_store.oip_handler.runtime import open_runtime
from model_store.oip_handler.wire import Spec

SPECS = [Spec("ids", "INT64", (-1, -1)), Spec("mask", "FP32", (-1, -1))]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(20, 4)

    def forward(self, ids, mask):
        return ((self.words(ids) * mask.unsqueeze(-1)).sum(1),)


def net_program():
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", max=16)
    shapes = {0: batch, 1: length}
    example = torch.zeros(2, 5, dtype=torch.int64), torch.ones(2, 5)
    return torch.export.export(Net().eval(), example, dynamic_shapes=(shapes, shapes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aot")
    torch.export.save(net_program(), folder / "program.pt2")
    return folder


@pytest.fixture(scope="module")
def compiled(folder):
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    compile_aot(folder / "program.pt2", folder / "aot.pt2")
    return folder


def inputs(batch, length):
    generator = np.random.default_rng(batch)
    return [generator.integers(0, 20, (batch, length)), np.ones((batch, length), np.float32)]


def opened(folder, mode):
    return open_runtime(folder, SPECS, [], settings={"mode": mode}, device="cpu", threads=1)


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 16), (3, 7), (64, 2)])
def test_the_library_answers_as_the_program_does(compiled, batch, length):
    answers = [opened(compiled, mode).run(inputs(batch, length))[0] for mode in ("aot", "eager")]
    np.testing.assert_allclose(*answers, atol=1e-6)


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_a_fresh_process_without_a_compiler_runs_the_library(compiled):
    """As a TorchServe worker is one: this process has imported more of PyTorch than it would."""
    code = (
        "import sys; from pathlib import Path; from model_store.oip_handler.library import load_library; "
        "found = load_library(Path(sys.argv[1])); "
        "import os; sys.stdout.flush(); os._exit(found is None)"  # as if it were killed
    )
    scratch = compiled / "scratch"
    scratch.mkdir()
    environment = os.environ | {"PATH": "/nowhere", "TMPDIR": str(scratch)}
    done = subprocess.run(
        [sys.executable, "-c", code, compiled / "aot.pt2"], check=False, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not [*scratch.rglob("*.so")]


@pytest.mark.integration
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "here", [{"torch": "1.0"}, {"architecture": "arm64"}, {"features": ["sse"]}], ids=["torch", "kind", "features"]
)
def test_on_another_machine_the_program_runs_instead(compiled, monkeypatch, caplog, here):
    facts = library.host_facts()
    monkeypatch.setattr(library, "host_facts", lambda: facts | here)
    assert opened(compiled, "aot").run(inputs(2, 3))[0].shape == (2, 4)
    assert "aot.pt2 cannot be used, the program runs uncompiled: it was made for torch" in caplog.text


def test_a_damaged_library_gives_way_to_the_program(folder, tmp_path, caplog):
    shutil.copy(folder / "program.pt2", tmp_path)
    with zipfile.ZipFile(tmp_path / "aot.pt2", "w") as package:
        package.writestr("x.wrapper_metadata.json", json.dumps({FACTS: json.dumps(library.host_facts())}))
    assert opened(tmp_path, "aot").run(inputs(2, 3))[0].shape == (2, 4)
    assert "aot.pt2 cannot be used" in caplog.text


@pytest.fixture
def guarded():
    facts = program_facts(net_program())
    return Library(lambda tensors: tensors, facts["inputs"], facts["largest"])


@pytest.mark.parametrize(
    ("ids", "mask"),
    [
        ((1, 17), (1, 17)),
        ((1, 5), (1, 4)),
        ((1, 5), (2, 5)),
        ((5,), (5,)),
    ],
    ids=["longer than it was exported for", "other lengths", "other batches", "a dimension less"],
)
def test_compiled_code_never_sees_sizes_it_was_not_made_for(guarded, ids, mask):
    with pytest.raises(ValueError, match="does not fit the program's"):
        guarded(torch.zeros(ids, dtype=torch.int64), torch.zeros(mask))


def test_nor_another_datatype(guarded):
    with pytest.raises(ValueError, match="does not fit the program's"):
        guarded(torch.zeros(1, 5), torch.zeros(1, 5))
    assert len(guarded(torch.zeros(1, 5, dtype=torch.int64), torch.zeros(1, 5))) == 2


def test_without_a_compiler_there_is_no_library(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BuildFailed, match="there is no C\\+\\+ compiler 'no-such-compiler' here"):
        compile_aot(folder / "program.pt2", tmp_path / "aot.pt2")
