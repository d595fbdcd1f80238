"""One inference of the Open Inference Protocol, between the decoder and the encoder of either transport."""

from __future__ import annotations

from gateway.codecs.classification import classify
from gateway.codecs.oip_outputs import OutputWishes
from gateway.codecs.shared_memory import SharedMemory
from gateway.core.errors import ModelNotFound
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.tensors import Tensor
from gateway.frontends.oip.lookup import labels_of, unknown_model
from gateway.frontends.server import Server


async def answer(server: Server, request: InferRequest, wishes: OutputWishes, memory: SharedMemory) -> InferResponse:
    """The answer to ``request``: classes in place of the outputs that ``wishes`` say, others put into ``memory``."""
    try:
        if not wishes.classes and not wishes.windows:
            return await server.infer(request)
        model = server.catalog.get(request.model, request.version)  # it may be gone when the answer is there
        response = await server.infer(request)
    except ModelNotFound as error:
        raise unknown_model(error) from None
    response.outputs = tuple(
        classify(output, count, labels_of(model, output.name), batched=model.signature.batched)
        if (count := wishes.classes.get(output.name))
        else output
        for output in response.outputs
    )
    for output in response.outputs:
        _put(output, wishes, memory)
    return response


def _put(output: Tensor, wishes: OutputWishes, memory: SharedMemory) -> None:
    window = wishes.windows.get(output.name)
    if window is not None:
        memory.write(window, output.data, f"outputs[{output.name!r}]")
