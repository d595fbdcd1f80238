"""Servers and workloads for tests of the load tester's targets."""

import contextlib
from unittest import mock

import numpy as np

from gateway import app
from gateway.core.datatypes import Datatype
from gateway.core.messages import InferRequest, RequestContext
from gateway.core.tensors import Tensor
from loadtest.payloads.workload import MeasuredModel, Payload, Workload
from support.background import in_background
from support.echo import Echo, model_name, output_name
from support.gateways import settings
from support.manifests import make_signature


@contextlib.contextmanager
def echo_gateway(folder, models, backends):
    """A gateway with every door, whose ``backends`` give the input back; yields its addresses by listener."""
    engine = {"kind": "embedded", "engine": "onnxruntime", "device": "cpu", "models": list(models)}
    build = app._build_backend

    def built(name, told, whole):
        return Echo(name) if name in backends else build(name, told, whole)

    with contextlib.ExitStack() as running:
        # Only until it is made: whoever shares the gateway may do so for long, and others make gateways meanwhile.
        with mock.patch.object(app, "_build_backend", built):
            addresses = running.enter_context(in_background(settings(folder, dict.fromkeys(backends, engine))))
        yield addresses


def echo_payload(array, label="one", datatype=None):
    """A payload for the echo model that takes ``array``."""
    tensor = array if isinstance(array, Tensor) else Tensor.from_numpy("x", np.asarray(array))
    datatype, rank = tensor.datatype, len(tensor.shape)
    free = (-1,) * rank
    signature = make_signature([("x", datatype, free)], [(output_name(datatype), datatype, free)])
    return payload_of(MeasuredModel(model_name(datatype, rank), "", signature, "", {}), [tensor], label)


def payload_of(model, inputs, label="one", **fields):
    """A payload of ``model``; ``fields`` are the request's."""
    return Payload(model, InferRequest(model.name, tuple(inputs), RequestContext("test"), **fields), label)


def mixed_workload():
    """Payloads of three models, one of them text."""
    return Workload(
        (
            echo_payload(np.arange(6, dtype=np.float32).reshape(2, 3), "floats"),
            echo_payload(np.array([[1, -2]], np.int64), "integers"),
            echo_payload(np.array(["ä", "b"], object), "texts"),
        )
    )


def bf16_workload():
    """A payload that no JSON carries."""
    return Workload((echo_payload(Tensor("x", Datatype.BF16, (1,), b"\x80\x3f"), "half"),))
