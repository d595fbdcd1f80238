"""Ask one server one of a model's own samples, and hold the answer against what the model's source answered."""

from __future__ import annotations

import asyncio

from gateway.core.backend import Backend
from gateway.core.errors import DeadlineExceeded
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Tensor
from model_store.parity.served import Verdict, judge
from model_store.store import StoredModel


async def check_sample(
    backend: Backend, stored: StoredModel, sample: str, *, version: str | None = None, timeout: float
) -> Verdict:
    """Ask ``backend`` for its answer to ``sample``.

    Args:
        backend: the server.
        stored: the model, with its samples and the source's answers to them.
        sample: one of its ``answered_samples``.
        version: what the server calls the version; by default what the store calls it.
        timeout: seconds the answer may take.

    Raises:
        GatewayError: it gave none.
    """
    manifest = stored.manifest
    inputs = await asyncio.to_thread(stored.sample, sample)
    request = InferRequest(
        model=manifest.name,
        version=manifest.version if version is None else version,
        inputs=tuple(Tensor.from_numpy(name, array) for name, array in inputs.items()),
        context=RequestContext(protocol="parity"),
    )
    try:
        async with asyncio.timeout(timeout):
            response = await backend(request)
    except TimeoutError:
        raise DeadlineExceeded(f"backend {backend.name!r} gave no answer within {timeout:g} s") from None
    return await asyncio.to_thread(_judge, stored, sample, response)


def _judge(stored: StoredModel, sample: str, response: InferResponse) -> Verdict:
    answered = {tensor.name: tensor.to_numpy() for tensor in response.outputs}
    return judge(stored.manifest, sample, stored.answer(sample), answered)
