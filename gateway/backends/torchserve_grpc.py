"""TorchServe's inference API over gRPC.

It carries no headers beside a body: the length of an OIP body's JSON header travels in a part of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

import structlog

from gateway.backends.grpc_channel import GRPCChannel, Method, NotForUs
from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.backends.torchserve_keys import Keys
from gateway.backends.torchserve_transport import Answer
from gateway.codecs import oip_http, torchserve_grpc
from gateway.codecs.torchserve_parts import BODY, Part, split_body
from gateway.core.errors import BackendError, Unavailable
from gateway.core.messages import InferRequest, InferResponse, RequestContext

_log = structlog.get_logger()

_MAX_PARTS = 1024
_PING = f"/{torchserve_grpc.INFERENCE_SERVICE}/Ping"


class TorchServeGRPC:
    """One server."""

    def __init__(
        self, backend: str, target: str, keys: Keys, *, timeout: float, max_body: int, hosts: Hosts = NO_HOSTS
    ) -> None:
        self._backend = backend
        self._keys = keys
        self._channel = GRPCChannel(backend, target, timeout=timeout, max_body=max_body, hosts=hosts)
        self._predictions = self._authorized(self._channel.method(torchserve_grpc.PREDICTIONS_METHOD))
        self._ping = self._authorized(self._channel.method(_PING))

    async def predict(self, model: str, version: str, parts: Sequence[Part], context: RequestContext) -> Answer:
        if len(parts) == 1 and parts[0].name == BODY:
            # A form that a client sent as its whole body: TorchServe takes it apart over HTTP only.
            parts = split_body(bytes(parts[0].data), parts[0].content_type, _MAX_PARTS)
        message = torchserve_grpc.encode_predictions(model, version, parts)
        return Answer(torchserve_grpc.decode_prediction(await self._call(self._predictions, message, context)))

    async def infer(self, request: InferRequest, version: str, *, binary: bool) -> InferResponse:
        body, length = oip_http.encode_request(request, binary=binary)
        parts = [Part(BODY, body)]
        if length is not None:
            parts.append(Part(oip_http.HEADER_LENGTH, str(length).encode()))
        answer = (await self.predict(request.model, version, parts, request.context)).body
        if length is None:
            return oip_http.decode_response(answer, None)
        try:
            return oip_http.decode_response(*torchserve_grpc.unframe_oip(answer))
        except BackendError:
            # A refusal of the handler's, which has lost its status, or a handler of another kind. The text may hold the
            # upstream's internals: it goes into our log and not to the client.
            _log.warning("backend refused", backend=self._backend, answer=answer[:500])
            raise

    async def ping(self) -> None:
        if torchserve_grpc.decode_health(await self._call(self._ping, b"", quiet=True)) != "Healthy":
            raise Unavailable("not healthy")

    async def close(self) -> None:
        await self._channel.close()

    async def _call(
        self, method: Method, message: bytes, context: RequestContext | None = None, *, quiet: bool = False
    ) -> bytes:
        try:
            return await self._channel.call(method, message, context, quiet=quiet)
        except NotForUs:
            # A restarted TorchServe writes new keys; the request was refused unread, so it may go again.
            self._keys.forget()
            return await self._channel.call(method, message, context, quiet=quiet)

    def _authorized(self, method: Method) -> Method:
        """``method`` with the key among its metadata."""

        def call(message: bytes, *, metadata: Sequence[tuple[str, str]], **options: Any) -> Awaitable[bytes]:
            key = [(name.lower(), value) for name, value in self._keys.header("inference").items()]
            return method(message, metadata=(*metadata, *key), **options)

        return call
