"""The model of the load tester's fake server, asked with two payloads."""

from dataclasses import replace

import numpy as np

from gateway.core.datatypes import Datatype
from gateway.core.tensors import Tensor
from loadtest.payloads.workload import MeasuredModel, Workload
from loadtest.targets.target import Target
from support.load_servers import payload_of
from support.manifests import make_signature


def tiny_workload(weights=(1.0, 1.0)):
    signature = make_signature([("x", Datatype.FP32, (-1, 4))], [("scores", Datatype.FP32, (-1, 3))])
    model = MeasuredModel("tiny", "", signature, "", {})
    rows = np.array([[[1, 0, 2, 1]], [[0, 3, 0, 1]]], np.float32)
    payloads = [payload_of(model, [Tensor.from_numpy("x", row)], str(row)) for row in rows]
    return Workload(tuple(replace(payload, weight=weight) for payload, weight in zip(payloads, weights, strict=True)))


def tiny_target(address):
    return Target("onnxruntime", "", "direct", "HTTP", "oip", address, "onnxruntime direct")
