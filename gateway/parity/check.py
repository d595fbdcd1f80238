"""Ask one server one of a model's own samples, and hold the answer against what the model's source answered."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.core.backend import Backend
from gateway.core.errors import DeadlineExceeded
from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Tensor
from model_store.parity.served import Judgement, judge
from model_store.store import StoredModel


@dataclass(slots=True, frozen=True)
class Verdict:
    """What one server's answer to ``sample`` is worth; see ``model_store.parity.served.Judgement``."""

    sample: str
    max_abs: float
    allowed: float
    reason: str

    @property
    def passed(self) -> bool:
        return not self.reason


def checkable(stored: StoredModel) -> list[str]:
    """The samples of ``stored`` whose answers by the source are kept; reads files."""
    return [*stored.answers()]


async def check_sample(
    backend: Backend, stored: StoredModel, sample: str, *, version: str | None = None, timeout: float
) -> Verdict:
    """Ask ``backend`` for its answer to ``sample``.

    Args:
        backend: the server.
        stored: the model, with its samples and the source's answers to them.
        sample: one of ``checkable``.
        version: what the server calls the version; by default what the store calls it.
        timeout: seconds the answer may take.

    Raises:
        GatewayError: it gave none.
    """
    manifest = stored.manifest
    inputs = await asyncio.to_thread(lambda: stored.samples()[sample])
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
    found = await asyncio.to_thread(_judge, stored, sample, response)
    return Verdict(sample, found.max_abs, found.allowed, found.reason)


def _judge(stored: StoredModel, sample: str, response: InferResponse) -> Judgement:
    answered = {tensor.name: tensor.to_numpy() for tensor in response.outputs}
    return judge(stored.manifest, sample, stored.answers()[sample], answered)
