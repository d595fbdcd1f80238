"""PyTorch operators that are taken apart for torch.onnx: the same answers, in operators that every engine has."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from model_store.exporters import torch_onnx
from model_store.exporters.onnx_graph import unknown_operators
from model_store.sources.pytorch import PytorchSource


class Attention(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)


class Distance(torch.nn.Module):
    def forward(self, x):
        return torch.cdist(x, x + 1)


WORDS = {"": np.array([[3, 1, 0, 7]])}
STEPS = {"": np.random.default_rng(0).standard_normal((1, 5, 4), np.float32)}


@pytest.mark.parametrize(
    ("module", "sample"),
    [
        (torch.nn.EmbeddingBag(10, 3, mode="mean"), WORDS),
        (torch.nn.EmbeddingBag(10, 3, mode="sum", padding_idx=0), WORDS),
        (Attention(), STEPS),
        (Distance(), STEPS),
    ],
    ids=["mean", "padded sum", "attention", "distance"],
)
def test_the_answers_stay(module, sample, work, run_step):
    source = PytorchSource(module, [sample])
    source.freeze(work.frozen)
    sides = [
        [(spec.name, spec.datatype, spec.shape) for spec in specs]
        for specs in (source.signature.inputs, source.signature.outputs)
    ]
    run_step(torch_onnx, "program", inputs=sides[0], outputs=sides[1])
    model = onnx.load(work.onnx)
    assert not unknown_operators(model)
    assert not any("Sequence" in node.op_type or node.op_type == "Loop" for node in model.graph.node)
    session = onnxruntime.InferenceSession(work.onnx, providers=["CPUExecutionProvider"])
    for rows in (1, 3):
        inputs = {name: np.repeat(array, rows, axis=0) for name, array in source.samples[0].items()}
        (found,) = session.run(None, inputs)
        np.testing.assert_allclose(found, source.run(inputs)["output"], rtol=1e-5, atol=1e-6)
