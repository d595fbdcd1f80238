"""Steps of a build, called in this process on a working directory of a test's own."""

import sys

import pytest
from support.manifests import make_signature

from model_store.exporters.workdir import Facts, Workdir
from model_store.manifest import signature_entry
from model_store.recipe import Imported


def make_facts(inputs, outputs, **changes):
    fields = {
        "framework": "onnx",
        "origin": "a test's model",
        "variant_of": "",
        "description": "",
        "license": "",
        "signature": signature_entry(make_signature(inputs, outputs)),
        "max_batch_size": 4,
        "preprocessing": (),
        "postprocessing": (),
        "tolerance": None,
        "missing_forms": {},
        "metrics": {},
        "files": {},
    }
    return Facts(**fields | changes)


@pytest.fixture
def work(tmp_path):
    """A working directory with its folders."""
    made = Workdir(tmp_path / "model", tmp_path / "scratch")
    made.model.mkdir()
    made.frozen.mkdir(parents=True)
    made.write_recipe(Imported("tiny", "1", "/tiny.onnx"))
    return made


@pytest.fixture
def run_step(work, monkeypatch):
    """Run the ``main`` of a step's module; with inputs and outputs, the facts are written first."""

    def run(module, *arguments, inputs=None, outputs=None, **facts):
        if inputs is not None:
            work.write_facts(make_facts(inputs, outputs, **facts))
        monkeypatch.setattr(sys, "argv", [module.__name__, str(work.model), str(work.scratch), *arguments])
        module.main()

    return run
