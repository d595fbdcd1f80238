"""Every source that the model store takes, in every server: built here, proven, and asked through the real stack."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.stack import gateway, running_stack

from model_store.store import ModelStore

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
SOURCES = (
    "torch-class", "torch-script", "torch-export", "onnx-file", "keras-file", "savedmodel", "sklearn-forest",
    "sklearn-boosting", "sklearn-svm", "sklearn-logistic", "sklearn-pipeline",
)  # fmt: skip
ENGINES = {"onnx": "onnxruntime", "tensorflow": "tensorflow", "torchserve": "pytorch"}
BACKENDS = ("onnxruntime", "tensorflow", "torchserve")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """What `make matrix` builds."""
    directory = tmp_path_factory.mktemp("matrix")
    subprocess.run([sys.executable, ROOT / "scripts" / "matrix", directory], cwd=ROOT, check=True)
    return ModelStore(directory / "store")


@pytest.mark.parametrize("target", ENGINES)
@pytest.mark.parametrize("name", SOURCES)
def test_every_cell_is_built_and_agrees_with_its_source(store, name, target):
    manifest = store.get(name).manifest
    pair = manifest.parity[f"source-{ENGINES[target]}"]
    assert pair.passed
    assert pair.max_abs <= pair.allowed
    assert pair.top1_agreement == 1
    # Proven on real weights: none of these models is worse than nine of ten in its source, or in any server.
    assert manifest.metrics["accuracy"] > 0.85
    assert manifest.artifacts[target].accuracy == pytest.approx(manifest.metrics["accuracy"], abs=0.002)


@pytest.fixture(scope="module")
def stack(store, tmp_path_factory):
    with running_stack(store.root, tmp_path_factory.mktemp("matrix-run")) as started:
        yield started


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SOURCES)
def test_the_real_server_answers_as_the_source_did(store, stack, name, backend):
    model = store.get(name)
    sample = next(iter(model.samples()))
    path = next(path for path in model.sample_files() if path.stem == sample)
    answer = gateway(
        "infer", name, "--npy", str(path), "--backend", backend, "--output", "json", "--config", stack.config
    )
    (found,) = json.loads(answer.stdout)["answers"]
    assert found["backend"] == backend
    expected = np.load(model.directory / "reference" / f"sample-{sample}.npz")
    assert set(found["outputs"]) == set(expected.files)
    for output in expected.files:
        np.testing.assert_allclose(found["outputs"][output]["data"], expected[output].ravel(), rtol=1e-4, atol=1e-4)
