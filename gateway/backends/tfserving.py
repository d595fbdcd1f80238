"""TensorFlow Serving over gRPC."""

from __future__ import annotations

import grpc
import structlog

from gateway.codecs import tfs_grpc
from gateway.core.backend import Backend
from gateway.core.errors import (
    BackendError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GatewayError,
    Overloaded,
    Unavailable,
)
from gateway.core.messages import InferRequest, InferResponse

_log = structlog.get_logger()

_ERRORS: dict[grpc.StatusCode, type[GatewayError]] = {
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Overloaded,
    grpc.StatusCode.UNAVAILABLE: ConnectionLost,
}


class TFServingBackend(Backend):
    """One TensorFlow Serving, real or ours. ``timeout`` bounds one call, in seconds."""

    kind = "tfserving"

    def __init__(self, name: str, target: str, *, timeout: float, max_body: int) -> None:
        self.name = name
        self._timeout = timeout
        self._channel = grpc.aio.insecure_channel(
            target,
            options=(
                ("grpc.max_receive_message_length", max_body),
                ("grpc.max_send_message_length", max_body),
                # A restarted server should be found within a health check or two, not after two minutes.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
                ("grpc.enable_http_proxy", 0),
            ),
        )
        self._predict = self._channel.unary_unary(tfs_grpc.PREDICT_METHOD)
        self._status = self._channel.unary_unary(tfs_grpc.MODEL_STATUS_METHOD)

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        metadata = (("traceparent", request.context.traceparent),)
        try:
            answer = await self._predict(
                tfs_grpc.encode_predict_request(request), timeout=self._timeout, metadata=metadata
            )
        except grpc.aio.AioRpcError as error:
            raise self._mapped(error) from None
        return tfs_grpc.decode_predict_response(answer)

    async def check(self, model: str, version: str) -> None:  # noqa: ARG002
        try:
            answer = await self._status(tfs_grpc.encode_status_request(model), timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            raise Unavailable(f"status not available ({error.code().name})") from None
        if not tfs_grpc.decode_status_response(answer):
            raise Unavailable("no version is available")

    async def close(self) -> None:
        await self._channel.close()

    def _mapped(self, error: grpc.aio.AioRpcError) -> GatewayError:
        details = error.details() or ""
        if error.code() is grpc.StatusCode.UNAVAILABLE and details.startswith("failed to connect"):
            return ConnectFailed(f"backend {self.name!r} refused the connection")
        # The text may hold the upstream's internals: it goes into our log and not to the client.
        _log.warning("backend refused", backend=self.name, code=error.code().name, details=details[:500])
        kind = _ERRORS.get(error.code(), BackendError)
        return kind(f"backend {self.name!r} did not answer ({error.code().name})")
