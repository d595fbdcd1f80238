"""Refuse what does not fit the model before any backend sees it."""

from __future__ import annotations

from gateway.core.errors import BackendError, InvalidRequest
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service
from gateway.core.signatures import Signature


class Validate(Filter):
    """Holds requests, and the names of the outputs that come back, against the model's signature."""

    __slots__ = ("_max_batch_size", "_output_names", "_signature", "_version")

    def __init__(self, inner: Service, signature: Signature, version: str, max_batch_size: int) -> None:
        super().__init__(inner)
        self._signature = signature
        self._version = version
        self._max_batch_size = max_batch_size
        self._output_names = tuple(spec.name for spec in signature.outputs)

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        self._signature.check_inputs(request.inputs)
        self._signature.check_outputs(request.outputs)
        self._check_batch(request)
        response = await self.inner(request)
        self._select_outputs(response, request.outputs or self._output_names)
        # The answer speaks of what the client asked for, not of what a backend calls it.
        response.model, response.version, response.id = request.model, self._version, request.id
        return response

    def _check_batch(self, request: InferRequest) -> None:
        if self._max_batch_size and request.inputs[0].shape[0] > self._max_batch_size:
            raise InvalidRequest(
                f"inputs: batch size {request.inputs[0].shape[0]} is over the model's maximum of {self._max_batch_size}"
            )

    def _select_outputs(self, response: InferResponse, wanted: tuple[str, ...]) -> None:
        """Bring the outputs into the wanted order; formats without order or selection give any."""
        if tuple(output.name for output in response.outputs) == wanted:
            return
        given = {output.name: output for output in response.outputs}
        missing = [name for name in wanted if name not in given]
        if missing:
            raise BackendError(f"the backend did not give the outputs {missing}")
        response.outputs = tuple(given[name] for name in wanted)
