"""ONNX from PyTorch, by either of its exporters; ONNX Runtime must agree with the module."""

import numpy as np
import onnxruntime
import pytest
import torch

from model_store.errors import BuildFailed
from model_store.exporters import torch_onnx
from model_store.exporters.workdir import save_tensors
from model_store.sources.pytorch import PytorchSource

ROWS = np.random.default_rng(2).standard_normal((5, 3)).astype(np.float32)


class Two(torch.nn.Module):
    """Two inputs, two outputs."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.dense = torch.nn.Linear(3, 2)

    def forward(self, left, right):
        return self.dense(left * right), left - right


@pytest.mark.parametrize(("form", "wrap"), [("program", lambda module: module), ("script", torch.jit.script)])
def test_both_forms_give_the_modules_answers_under_its_names(run_step, work, form, wrap):
    sample = {"left": ROWS[:1], "right": ROWS[1:2]}
    source = PytorchSource(wrap(Two().eval()), [sample], ("left", "right"), ("dense", "rest"))
    source.freeze(work.frozen)
    save_tensors(work.inputs, {"sample-a": sample})
    sides = [
        [(spec.name, spec.datatype, spec.shape) for spec in specs]
        for specs in (source.signature.inputs, source.signature.outputs)
    ]
    run_step(torch_onnx, form, inputs=sides[0], outputs=sides[1], framework="pytorch")
    session = onnxruntime.InferenceSession(work.onnx, providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["left", "right"]
    assert {value.shape[0] for value in (*session.get_inputs(), *session.get_outputs())} == {"batch"}
    batch = {"left": ROWS, "right": ROWS[::-1].copy()}
    expected = source.run(batch)
    for name, found in zip(("dense", "rest"), session.run(["dense", "rest"], batch), strict=True):
        np.testing.assert_allclose(found, expected[name], atol=1e-6)


def test_the_file_holds_no_path_of_this_machine(run_step, work):
    source = PytorchSource(torch.nn.Linear(3, 2).eval(), [{"x": ROWS[:1]}], ("x",), ("y",))
    source.freeze(work.frozen)
    run_step(torch_onnx, "program", inputs=[("x", "FP32", (-1, 3))], outputs=[("y", "FP32", (-1, 2))])
    assert b".py" not in work.onnx.read_bytes()


def test_a_form_that_is_not_there_is_an_error(run_step, work):
    with pytest.raises(BuildFailed):
        run_step(torch_onnx, "script", inputs=[("x", "FP32", (-1, 3))], outputs=[("y", "FP32", (-1, 2))])
