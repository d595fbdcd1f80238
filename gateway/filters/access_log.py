"""Log every request that failed, and a share of those that did not."""

from __future__ import annotations

from typing import Protocol

from gateway.core.errors import outcome_of
from gateway.core.messages import InferRequest, InferResponse
from gateway.core.service import Filter, Service

# The last 7 bytes of a trace id are random (W3C Trace Context, level 2), the more so the later.
_RANDOM_BITS = 56
_RANDOM = slice(35 - _RANDOM_BITS // 4, 35)


class AccessRecorder(Protocol):
    """Where the lines are written."""

    def answered(self, request: InferRequest, response: InferResponse) -> None:
        """A sampled request has its answer."""

    def failed(self, request: InferRequest, error: BaseException) -> None:
        """A request has none."""


class AccessLog(Filter):
    """Samples by trace id, as OpenTelemetry does: every server with the same ``share`` logs the same requests."""

    __slots__ = ("_recorder", "_threshold")

    def __init__(self, inner: Service, recorder: AccessRecorder, share: float) -> None:
        super().__init__(inner)
        self._recorder = recorder
        left_out = round((1 - share) * 2**_RANDOM_BITS)
        # Hexadecimal digits sort as the numbers do, and all come before "g".
        self._threshold = "g" if left_out >> _RANDOM_BITS else f"{left_out:0{_RANDOM_BITS // 4}x}"

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        context = request.context
        context.request_id = request.id
        try:
            response = await self.inner(request)
        except BaseException as error:
            context.failure = outcome_of(error)
            self._recorder.failed(request, error)
            raise
        if context.traceparent[_RANDOM] >= self._threshold:
            self._recorder.answered(request, response)
        return response
