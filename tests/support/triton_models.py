"""A backend with the models that Triton's example clients ask for, so that clients can be tried as they are."""

import asyncio
import contextlib
import dataclasses

import aiohttp
import numpy as np
import pytest
import tritonclient.grpc as grpc_client
import tritonclient.http as http_client
import uvloop

from gateway.app import App
from gateway.core.backend import Backend, ModelDescription
from gateway.core.datatypes import Datatype
from gateway.core.errors import ModelNotFound
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor
from support.gateways import running, settings

LABELS = ("cat", "dog", "fish")


def _side(prefix, datatype):
    return tuple(TensorSpec(f"{prefix}{index}", datatype, (-1, 16)) for index in (0, 1))


def _sums(datatype):
    return Signature(_side("INPUT", datatype), _side("OUTPUT", datatype))


def _one(datatype, given, taken):
    return Signature((TensorSpec("INPUT0", datatype, given),), (TensorSpec("OUTPUT0", datatype, taken),))


SIGNATURES = {
    "simple": _sums(Datatype.INT32),
    "simple_int8": _sums(Datatype.INT8),
    "simple_string": _sums(Datatype.BYTES),
    "simple_identity": _one(Datatype.BYTES, (-1, -1), (-1, -1)),
    "labelled": _one(Datatype.FP32, (-1, 3), (-1, 3)),
    "picture": Signature(
        (TensorSpec("INPUT0", Datatype.FP32, (-1, 8, 8, 3)),), (TensorSpec("OUTPUT0", Datatype.FP32, (-1, 3)),)
    ),
}


class TritonModels(Backend):
    """Takes the place of an engine; its models can be loaded and unloaded."""

    kind = "oip"

    def __init__(self, name):
        self.name = name
        self.unloaded = set()
        self.requests = []

    async def __call__(self, request):
        self.requests.append(request)
        arrays = [tensor.to_numpy() for tensor in request.inputs]
        return InferResponse(
            request.model, request.version, tuple(_named(spec, *arrays) for spec in SIGNATURES[request.model].outputs)
        )

    async def check(self, model, version):
        await self.describe(model)

    async def close(self):
        pass

    async def list_models(self):
        return [model for model in SIGNATURES if model not in self.unloaded]

    async def describe(self, model):
        if model not in SIGNATURES or model in self.unloaded:
            raise ModelNotFound(f"no model {model!r}")
        labels = LABELS if model in ("labelled", "picture") else ()
        return ModelDescription("1", "test", SIGNATURES[model], max_batch_size=8, labels=labels)

    async def load(self, model, version):
        self.unloaded.discard(model)

    async def unload(self, model, version):
        self.unloaded.add(model)


def _named(spec, first, second=None):
    if spec.shape[-1] == 3:
        array = first.reshape(first.shape[0], -1)[:, :3]
    elif second is None:
        array = first
    else:
        as_numbers = spec.datatype is Datatype.BYTES
        a, b = (array.astype(np.int64) if as_numbers else array for array in (first, second))
        array = a + b if spec.name == "OUTPUT0" else a - b
        if as_numbers:
            array = np.array([str(value) for value in array.ravel()], dtype=object).reshape(array.shape)
    return Tensor.from_numpy(spec.name, array)


# Settings for it; nobody listens at the address, and nobody asks.
BACKENDS = {"here": {"kind": "oip", "url": "http://127.0.0.1:9"}}


@dataclasses.dataclass
class Front:
    """A running gateway in front of the models, and the loop that it runs in."""

    app: App
    backend: TritonModels
    addresses: dict
    loop: asyncio.Runner

    def blocking(self, function, *arguments):
        """What ``function`` returns, called in a thread so that the gateway goes on."""
        return self.loop.run(asyncio.to_thread(function, *arguments))

    def http(self, address="http", **options):
        """A blocking client."""
        return http_client.InferenceServerClient(self.addresses[address], **options)

    def grpc(self):
        """A blocking client."""
        return grpc_client.InferenceServerClient(self.addresses["grpc"])

    def ask(self, method, path, body=b"", headers=None, address="http"):
        """Status, headers and body of one HTTP exchange."""

        async def exchange():
            async with aiohttp.ClientSession(f"http://{self.addresses[address]}") as session:
                async with session.request(method, path, data=body, headers=headers) as answer:
                    return answer.status, answer.headers, await answer.read()

        return self.loop.run(exchange())


@contextlib.contextmanager
def gateway(root, **changes):
    """A ``Front`` with an empty model store at ``root``; ``changes`` are settings."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        backend = TritonModels("here")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gateway.app._build_backend", lambda *_: backend)
            manager = running(settings(root, BACKENDS, protocols=["oip"], **changes))
            app, addresses = loop.run(manager.__aenter__())
        try:
            yield Front(app, backend, addresses, loop)
        finally:
            loop.run(manager.__aexit__(None, None, None))


def sums(client, binary=True):
    """The inputs of ``simple`` for tritonclient's module ``client``, and what comes of them."""
    a, b = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)
    inputs = []
    for name, array in (("INPUT0", a), ("INPUT1", b)):
        inputs.append(client.InferInput(name, list(array.shape), "INT32"))
        options = {} if client is not http_client else {"binary_data": binary}
        inputs[-1].set_data_from_numpy(array, **options)
    return inputs, (a + b, a - b)
