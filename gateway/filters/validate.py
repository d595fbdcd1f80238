"""Refuse what does not fit the model before any backend sees it."""

from __future__ import annotations

from gateway.core.catalog import ServedModel
from gateway.core.errors import BackendError, InvalidRequest, RequestRefused
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service


class Validate(Filter):
    """Holds requests, and the names of the outputs that come back, against the model's signature."""

    __slots__ = ("_model",)

    def __init__(self, inner: Service, model: ServedModel) -> None:
        super().__init__(inner)
        self._model = model

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        signature = self._model.signature_called(request.signature)
        signature.check_inputs(request.inputs)
        signature.check_outputs(request.outputs)
        if signature.batched:
            self._check_batch(request)
        try:
            response = await self.inner(request)
        except RequestRefused as error:
            if signature.advisory:
                raise InvalidRequest(f"inputs: {error.message}") from None
            raise
        if wanted := request.outputs or signature.output_names:
            self._select_outputs(response, wanted)
        # The answer speaks of what the client asked for, not of what a backend calls it.
        response.model, response.version, response.id = request.model, self._model.version, request.id
        return response

    def _check_batch(self, request: InferRequest) -> None:
        limit, size = self._model.max_batch_size, request.rows
        if limit and size > limit:
            raise InvalidRequest(f"inputs: batch size {size} is over the model's maximum of {limit}")

    def _select_outputs(self, response: InferResponse, wanted: tuple[str, ...]) -> None:
        """Bring the outputs into the wanted order; formats without order or selection give any."""
        if tuple(output.name for output in response.outputs) == wanted:
            return
        given = {output.name: output for output in response.outputs}
        missing = [name for name in wanted if name not in given]
        if missing:
            raise BackendError(f"the backend did not give the outputs {missing}")
        response.outputs = tuple(given[name] for name in wanted)
