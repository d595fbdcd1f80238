"""Every kind of model that an archive may hold, in the engine and in the handler."""

import io
import json
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
import torch

from model_store.engines import open_engine
from model_store.oip_handler.fold import fold_batch_norms
from model_store.oip_handler.handler import OipHandler
from model_store.oip_handler.program import load_program

X = np.array([[1, 2], [3, 4]], np.float32)


class Convolutions(torch.nn.Module):
    """A normalisation behind a convolution, one behind a convolution that is read twice, and one behind neither."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.Conv2d(8, 8, 1)
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(8) for _ in range(3))
        for norm in self.norms:
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(norm.weight, 0.5, 2)

    def forward(self, x):
        x = self.norms[0](self.a(x)).relu()
        twice = self.b(x)
        return self.norms[2](self.norms[1](twice) + twice)


class Script(torch.nn.Module):
    def forward(self, x):
        return {"y": x + x}


@pytest.fixture
def program(tmp_path):
    torch.manual_seed(1)
    batch = torch.export.Dim("batch", min=1)
    exported = torch.export.export(Convolutions().eval(), (torch.rand(2, 3, 8, 8),), dynamic_shapes=({0: batch},))
    torch.export.save(exported, tmp_path / "program.pt2")
    return tmp_path / "program.pt2"


def test_folding_leaves_just_the_normalisations_that_it_cannot_fold(program):
    module = torch.export.load(program).module(check_guards=False)
    fold_batch_norms(module)
    left = [node for node in module.graph.nodes if node.target is torch.ops.aten.batch_norm.default]
    assert len(left) == 2


def test_channels_last_gives_the_same_answers(program):
    x = torch.rand(3, 3, 8, 8)
    with torch.inference_mode():
        plain, fast = (load_program(program, "cpu", mode)(x)[0] for mode in (False, True))
    torch.testing.assert_close(plain, fast, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mode", ["eager", "channels-last", "aot"])
def test_torchscript_runs_in_every_mode(model, tmp_path, mode):
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(Script().eval(), torch.rand(1, 2), strict=False), buffer)
    engine = open_engine("pytorch", tmp_path, model({"mode": mode}, script_pt=buffer.getvalue()), device="cpu")
    np.testing.assert_array_equal(engine.run({"x": X})["y"], X + X)
    assert engine.version == torch.__version__


def test_an_onnx_graph_runs_in_the_engine(model, tmp_path):
    engine = open_engine("pytorch", tmp_path, model({"optimization": "basic"}), device="auto")
    np.testing.assert_array_equal(engine.run({"x": X})["y"], X + X)


class Context:
    model_name = "double"
    manifest: ClassVar = {"model": {"modelVersion": "1"}}

    def __init__(self, folder):
        self.system_properties = {"model_dir": str(folder), "gpu_id": None}

    def get_all_request_header(self, index):
        return {}

    def set_response_content_type(self, index, value):
        pass


def test_an_onnx_graph_runs_in_the_handler(unpacked, monkeypatch):
    monkeypatch.setenv("GATEWAY_ENGINE_THREADS", "1")
    (unpacked / "settings.json").write_text('{"optimization": "basic"}')
    context = Context(unpacked)
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": X.ravel().tolist()}
    bodies = [json.dumps({"inputs": [tensor]}).encode()] * 2
    answers = [json.loads(answer) for answer in OipHandler.load(context).answer(bodies, context)]
    assert [answer["outputs"][0]["data"] for answer in answers] == [[2, 4, 6, 8]] * 2


def test_a_graph_needs_no_pytorch(unpacked):
    code = (
        "import sys; from pathlib import Path; from model_store.oip_handler.runtime import open_runtime; "
        "from model_store.oip_handler.handler import OipHandler; "
        f"open_runtime(Path({str(unpacked)!r}), [], [], settings={{}}, device='cpu', threads=1); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
