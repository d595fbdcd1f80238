"""Signatures of PyTorch models, and the forms they are frozen in."""

import numpy as np
import pytest
import torch

from gateway.core.datatypes import Datatype
from model_store.errors import BuildFailed
from model_store.exporters.forms import PROGRAM, SCRIPT
from model_store.sources.pytorch import PytorchSource


class Two(torch.nn.Module):
    def forward(self, left, right, scale=2.0):
        return {"sum": left + right, "product": left * right * scale}


class Lengths(torch.nn.Module):
    def forward(self, ids):
        return ids.float().mean(1, keepdim=True)


class Branch(torch.nn.Module):
    """A branch that depends on the data: torch.export cannot follow it, a trace takes one side."""

    def forward(self, x):
        return x * 2 if bool(x.sum() > -1e9) else x


def row(*shape, dtype=np.float32):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def shapes(specs):
    return {spec.name: (spec.datatype, spec.shape) for spec in specs}


def test_names_come_from_forward_and_from_the_answers_keys():
    source = PytorchSource(Two(), [{"left": row(1, 3), "right": row(1, 3)}])
    assert shapes(source.signature.inputs) == {"left": (Datatype.FP32, (-1, 3)), "right": (Datatype.FP32, (-1, 3))}
    assert [spec.name for spec in source.signature.outputs] == ["sum", "product"]
    np.testing.assert_array_equal(source.run(source.samples[0])["product"], 2 * row(1, 3) ** 2)


def test_a_dimension_that_differs_between_samples_is_free():
    samples = [{"": row(1, 4, dtype=np.int64)}, {"": row(1, 7, dtype=np.int64)}]
    source = PytorchSource(Lengths(), samples)
    assert shapes(source.signature.inputs) == {"ids": (Datatype.INT64, (-1, -1))}
    assert shapes(source.signature.outputs) == {"output": (Datatype.FP32, (-1, 1))}


def test_doubles_become_the_models_floats():
    source = PytorchSource(torch.nn.Linear(3, 2), [{"": row(1, 3, dtype=np.float64)}])
    assert source.signature.inputs[0].datatype is Datatype.FP32
    double = PytorchSource(torch.nn.Linear(3, 2).double(), [{"": row(1, 3, dtype=np.float64)}])
    assert double.signature.inputs[0].datatype is Datatype.FP64


def test_dropout_is_off():
    source = PytorchSource(torch.nn.Dropout(0.9), [{"": row(1, 50)}])
    np.testing.assert_array_equal(source.run(source.samples[0])["output"], row(1, 50))


def test_freezing_exports_a_program_with_a_free_batch(tmp_path):
    source = PytorchSource(torch.nn.Linear(3, 2), [{"": row(1, 3)}])
    assert source.freeze(tmp_path) == {}
    module = torch.export.load(tmp_path / PROGRAM).module()
    for batch in (1, 2, 9):
        assert module(torch.zeros(batch, 3))[0].shape == (batch, 2)


def test_what_cannot_be_exported_is_traced_and_says_why(tmp_path):
    problems = PytorchSource(Branch(), [{"": row(1, 3)}]).freeze(tmp_path)
    assert problems[PROGRAM].startswith("torch.export: ")
    traced = torch.jit.load(str(tmp_path / SCRIPT))
    assert torch.equal(traced(torch.ones(5, 3))[0], torch.full((5, 3), 2.0))


def test_a_program_of_one_fixed_shape_keeps_it(tmp_path):
    program = torch.export.export(torch.nn.Linear(3, 2), (torch.zeros(4, 3),))
    source = PytorchSource(program, [])
    assert shapes(source.signature.inputs) == {"input": (Datatype.FP32, (4, 3))}
    assert not source.signature.batched


@pytest.mark.parametrize(
    ("module", "sample", "message"),
    [
        (torch.nn.Linear(3, 2), {"": row(1, 4)}, r"does not take the sample input float32 \[1, 4\]: mat1 and mat2"),
        (Two(), {"": row(1, 3)}, r"takes the inputs \['left', 'right'\], the sample gives one unnamed array; give an"),
        (Two(), {"left": row(1, 3), "wrong": row(1, 3)}, r"the sample gives \['left', 'wrong'\]"),
    ],
)
def test_a_sample_that_does_not_fit_is_named(module, sample, message):
    with pytest.raises(BuildFailed, match=message):
        PytorchSource(module, [sample])


def test_a_module_needs_a_sample():
    with pytest.raises(BuildFailed, match="does not say what it takes: give a sample with --sample"):
        PytorchSource(torch.nn.Linear(3, 2), [])


class Sum(torch.nn.Module):
    def forward(self, x):
        return x.sum()


def test_an_output_without_a_batch_is_refused():
    with pytest.raises(BuildFailed, match=r"output 'output' has shape \[\] for a batch of 3"):
        PytorchSource(Sum(), [{"": row(1, 3)}])
