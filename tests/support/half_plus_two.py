"""TensorFlow Serving's own test model (y = x / 2 + 2) with its signatures, behind the gateway's front doors."""

import contextlib
from dataclasses import replace
from unittest import mock

import numpy as np

from gateway import app
from gateway.core.backend import Backend, ModelDescription
from gateway.core.datatypes import Datatype
from gateway.core.errors import ModelNotFound
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor, split_bytes
from gateway.protos.loader import message_class

MODEL = "half_plus_two"
# Whatever is configured here is never called: the model takes the server's place.
SETTINGS = {"kind": "oip", "url": "http://127.0.0.1:1", "models": [MODEL]}
EXAMPLES = (TensorSpec("inputs", Datatype.BYTES, (-1,)),)
COLUMN = (-1, 1)
PREDICT = Signature((TensorSpec("x", Datatype.FP32, (-1,)),), (TensorSpec("y", Datatype.FP32, (-1,)),))
SIGNATURES = {
    "serving_default": PREDICT,
    "regress_x_to_y": Signature(EXAMPLES, (TensorSpec("outputs", Datatype.FP32, COLUMN),), "regress"),
    "classify_x_to_y": Signature(EXAMPLES, (TensorSpec("scores", Datatype.FP32, COLUMN),), "classify"),
    "tensorflow/serving/regress": Signature(EXAMPLES, (TensorSpec("outputs", Datatype.FP32, COLUMN),), "regress"),
    "named_classes": Signature(
        EXAMPLES,
        (TensorSpec("classes", Datatype.BYTES, (-1, -1)), TensorSpec("scores", Datatype.FP32, (-1, -1))),
        "classify",
    ),
}
VERSIONS = ("122", "123")


class HalfPlusTwo(Backend):
    """Parses serialised examples as the model's graph does; version 122 adds 1 in place of 2."""

    kind = "oip"

    def __init__(self, name):
        self.name = name

    async def __call__(self, request):
        (given,) = request.inputs
        x = _features(given) if given.datatype is Datatype.BYTES else given.to_numpy()
        y = (x / 2 + (2 if request.version == "123" else 1)).astype(np.float32)
        outputs = []
        for spec in SIGNATURES[request.signature or "serving_default"].outputs:
            if spec.name == "classes":
                outputs.append(Tensor.from_numpy("classes", np.full((*y.shape, 1), b"half", object)))
            else:
                shape = y.shape if spec.shape == (-1,) else (*y.shape, 1)
                outputs.append(Tensor.from_numpy(spec.name, y.reshape(shape)))
        return InferResponse(request.model, request.version, tuple(outputs))

    async def check(self, model, version):
        pass

    async def close(self):
        pass

    async def describe(self, model):
        if model != MODEL:
            raise ModelNotFound(model)
        latest = ModelDescription("123", "test", PREDICT, SIGNATURES)
        return replace(latest, older=(replace(latest, version="122"),))


def _features(examples):
    parsed = [message_class("tensorflow.Example").FromString(each) for each in split_bytes(examples.data, "examples")]
    return np.array([each.features.feature["x"].float_list.value[0] for each in parsed], np.float32)


@contextlib.contextmanager
def in_place_of(backend):
    """While entered, a gateway's ``backend`` is made as this model."""
    build = app._build_backend

    def built(name, settings, whole):
        return HalfPlusTwo(name) if name == backend else build(name, settings, whole)

    with mock.patch.object(app, "_build_backend", built):
        yield
