"""A backend that gives every tensor back untouched: what travels to it and back crossed the wires and nothing else."""

from gateway.core.backend import Backend, ModelDescription
from gateway.core.datatypes import Datatype
from gateway.core.messages import InferResponse
from gateway.core.signatures import Signature, TensorSpec
from gateway.core.tensors import Tensor

RANKS = range(9)


def model_name(datatype, rank):
    """The model that takes ``x`` of ``datatype`` with ``rank`` free dimensions, and gives it back."""
    return f"echo-{datatype}-{rank}"


MODELS = [model_name(datatype, rank) for datatype in Datatype for rank in RANKS]


def output_name(datatype):
    """TensorFlow Serving's REST API writes bytes as Base64 under names that end so, and as text under others."""
    return "y_bytes" if datatype is Datatype.BYTES else "y"


def handler(datatype, rank):
    """What a TorchServe backend is told of the model, in the configuration."""
    shape = [-1] * rank
    return {
        "inputs": [{"name": "x", "datatype": datatype, "shape": shape}],
        "outputs": [{"name": output_name(datatype), "datatype": datatype, "shape": shape}],
        "max_batch_size": 64,
    }


HANDLERS = {model_name(datatype, rank): handler(datatype, rank) for datatype in Datatype for rank in RANKS}


class Echo(Backend):
    """Serves MODELS; takes the place of an engine."""

    kind = "embedded"

    def __init__(self, name):
        self.name = name

    async def __call__(self, request):
        (x,) = request.inputs
        output = Tensor(output_name(x.datatype), x.datatype, x.shape, bytes(x.data))
        return InferResponse(request.model, request.version, (output,))

    async def check(self, model, version):
        pass

    async def close(self):
        pass

    async def describe(self, model):
        _, datatype, rank = model.split("-")
        datatype, shape = Datatype(datatype), (-1,) * int(rank)
        inputs = (TensorSpec("x", datatype, shape),)
        return ModelDescription("1", "echo", Signature(inputs, (TensorSpec(output_name(datatype), datatype, shape),)))
