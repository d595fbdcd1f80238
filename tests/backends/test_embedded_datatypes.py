"""Each engine gives every datatype back bit for bit, or says that it cannot: models whose output is their input."""

import asyncio

import numpy as np
import onnx
import pytest
import tensorflow as tf
import torch
from onnx import TensorProto, helper

from gateway.backends.embedded import EmbeddedBackend, EmbeddedModel
from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.errors import Unsupported
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, join_bytes
from model_store.engines.capabilities import CAPABILITIES
from model_store.engines.onnxruntime import OnnxruntimeEngine
from model_store.engines.pytorch import PytorchEngine
from model_store.engines.tensorflow import TensorflowEngine
from model_store.oip_handler.program import ProgramRuntime

_ONNX = {
    Datatype.BOOL: TensorProto.BOOL,
    Datatype.FP16: TensorProto.FLOAT16,
    Datatype.BF16: TensorProto.BFLOAT16,
    Datatype.FP32: TensorProto.FLOAT,
    Datatype.FP64: TensorProto.DOUBLE,
    Datatype.BYTES: TensorProto.STRING,
}
_TF = {
    Datatype.FP16: tf.float16,
    Datatype.BF16: tf.bfloat16,
    Datatype.FP32: tf.float32,
    Datatype.FP64: tf.float64,
    Datatype.BYTES: tf.string,
}
NUMBERS = [datatype for datatype in Datatype if datatype is not Datatype.BYTES]


def bits(datatype):
    """Two elements whose bits are easily lost: a NaN with a payload and a negative zero, or the extremes."""
    dtype = NUMPY_DTYPE[datatype]
    if datatype is Datatype.BOOL:
        return b"\x01\x00"
    if datatype in (Datatype.FP16, Datatype.BF16, Datatype.FP32, Datatype.FP64):
        patterns = {
            Datatype.FP16: (0x7E01, 0x8000),
            Datatype.BF16: (0x7FC1, 0x8000),
            Datatype.FP32: (0x7FC00001, 0x80000000),
            Datatype.FP64: (0x7FF8000000000001, 0x8000000000000000),
        }
        return np.array(patterns[datatype], f"<u{dtype.itemsize}").tobytes()
    limits = np.iinfo(dtype)
    return np.array([limits.min, limits.max], dtype).tobytes()


def onnx_engine(folder, datatype, signature):
    kind = _ONNX.get(datatype) or getattr(TensorProto, datatype.value)
    infos = [helper.make_tensor_value_info(name, kind, [None]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", infos[:1], infos[1:])
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return OnnxruntimeEngine.load(path, signature=signature, device="cpu", threads=1, settings={})


def tensorflow_engine(folder, datatype, signature):
    kind = _TF.get(datatype) or getattr(tf, datatype.value.lower())
    specs = [tf.TensorSpec([None], kind, name="x")]
    module = tf.Module()
    module.serve = tf.function(lambda x: {"y": tf.identity(x)}, input_signature=specs)
    tf.saved_model.save(module, str(folder / "1"), signatures={"serving_default": module.serve})
    return TensorflowEngine.load(folder, signature=signature, device="cpu", threads=1, settings={})


class Same(torch.nn.Module):
    def forward(self, x):
        return x.clone()


def pytorch_engine(folder, datatype, signature):
    example = torch.from_numpy(np.zeros(2, NUMPY_DTYPE[datatype]))
    example = example.view(torch.bfloat16) if datatype is Datatype.BF16 else example
    torch.export.save(torch.export.export(Same(), (example,)), folder / "program.pt2")
    runtime = ProgramRuntime.load(folder, [datatype.value], settings={}, device="cpu", threads=1)
    return PytorchEngine(runtime, ["x"], ["y"])


ENGINES = {"onnxruntime": onnx_engine, "tensorflow": tensorflow_engine, "pytorch": pytorch_engine}


def answer(engine, folder, tensor):
    """The model's output, through the embedded backend."""
    signature = Signature(*((TensorSpec(name, tensor.datatype, (-1,)),) for name in "xy"))
    model = EmbeddedModel(ENGINES[engine](folder, tensor.datatype, signature), signature)
    backend = EmbeddedBackend("e", lambda *_: model, instances=1)
    backend.open("m", "1")
    asked = InferRequest("m", (tensor,), RequestContext("test"), version="1")
    return asyncio.run(backend(asked)).outputs[0]


@pytest.mark.parametrize("datatype", NUMBERS)
@pytest.mark.parametrize("engine", ENGINES)
def test_numbers_come_back_bit_for_bit_unless_they_are_refused(engine, datatype, tmp_path):
    tensor = Tensor("x", datatype, (2,), bits(datatype))
    if datatype in CAPABILITIES[engine].refused:
        with pytest.raises(Unsupported, match=f"cannot carry {datatype}"):
            CAPABILITIES[engine].check("b", InferRequest("m", (tensor,), RequestContext("t")))
        return
    output = answer(engine, tmp_path, tensor)
    assert (output.datatype, output.shape, bytes(output.data)) == (datatype, (2,), bits(datatype))


def test_only_what_an_engine_cannot_do_is_refused():
    refused = {engine: set(limits.refused) for engine, limits in CAPABILITIES.items()}
    assert refused == {"onnxruntime": {Datatype.BF16}, "tensorflow": set(), "pytorch": {Datatype.BYTES}}


@pytest.mark.parametrize("engine", ["onnxruntime", "tensorflow"])
def test_texts_come_back_as_they_were(engine, tmp_path):
    texts = ["", "ä€😀", "a\0b", "b'x'"]
    output = answer(engine, tmp_path, Tensor("x", Datatype.BYTES, (4,), join_bytes(texts)))
    assert bytes(output.data) == join_bytes(texts)


def test_bytes_that_are_no_text_come_back_from_tensorflow_and_are_refused_for_onnx_runtime(tmp_path):
    tensor = Tensor("x", Datatype.BYTES, (2,), join_bytes([b"\xff\x00", b"\x80"]))
    assert bytes(answer("tensorflow", tmp_path, tensor).data) == tensor.data
    with pytest.raises(Unsupported, match="not UTF-8: ONNX Runtime's strings are text"):
        CAPABILITIES["onnxruntime"].check("b", InferRequest("m", (tensor,), RequestContext("t")))
