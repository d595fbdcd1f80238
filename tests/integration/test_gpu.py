"""The artefacts that were built on a CPU, loaded on a GPU without a rebuild."""

import numpy as np
import pytest

from model_store.engines import open_engine
from model_store.store import ModelStore

pytestmark = [pytest.mark.integration, pytest.mark.needs_gpu]


@pytest.mark.parametrize("kind", ["pytorch", "tensorflow", "onnxruntime"])
@pytest.mark.parametrize("model", ["digits-mlp", "efficientnet-lite0"])
def test_the_gpu_answers_as_the_cpu_does(model_store_root, model, kind):
    stored = ModelStore(model_store_root).get(model)
    inputs = next(iter(stored.samples().values()))
    on_gpu = open_engine(kind, stored.directory, stored.manifest, "cuda:0")
    on_cpu = open_engine("onnxruntime", stored.directory, stored.manifest, "cpu")
    assert on_gpu.device == "cuda:0"
    np.testing.assert_allclose(on_gpu.run(inputs)["logits"], on_cpu.run(inputs)["logits"], atol=5e-3)
