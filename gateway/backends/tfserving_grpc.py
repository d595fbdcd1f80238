"""TensorFlow Serving over gRPC."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.backends.grpc_channel import GRPCChannel
from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.codecs import tfs_grpc, tfs_metadata, tfs_status
from gateway.codecs.tfs_metadata import Learned
from gateway.codecs.tfs_model_spec import ModelQuery
from gateway.codecs.tfs_status import VersionStatus
from gateway.core.capabilities import Capabilities
from gateway.core.messages import InferRequest, InferResponse

MAX_RANK = 254  # TensorFlow's own limit


class TFServingOverGRPC:
    """``timeout`` bounds one call, in seconds; ``max_body`` a message, in bytes. See ``TFServingTransport``."""

    def __init__(self, backend: str, target: str, *, timeout: float, max_body: int, hosts: Hosts = NO_HOSTS) -> None:
        self.capabilities = Capabilities(request_bytes=max_body, max_rank=MAX_RANK)
        self._channel = GRPCChannel(backend, target, timeout=timeout, max_body=max_body, hosts=hosts)
        self._predict = self._channel.method(tfs_grpc.PREDICT_METHOD)
        self._metadata = self._channel.method(tfs_grpc.METADATA_METHOD)
        self._status = self._channel.method(tfs_grpc.MODEL_STATUS_METHOD)

    async def infer(self, request: InferRequest) -> InferResponse:
        message = tfs_grpc.encode_predict_request(request)
        answer = await self._channel.call(self._predict, message, request.context)
        return tfs_grpc.decode_predict_response(answer)

    async def status(self, model: str, version: str) -> list[VersionStatus]:
        message = tfs_status.encode_status_request(model, version)
        return tfs_status.decode_status_response(await self._channel.call(self._status, message, quiet=True))

    async def signatures(self, model: str, version: str) -> Mapping[str, Learned]:
        message = tfs_metadata.encode_metadata_request(ModelQuery(model, version))
        return tfs_metadata.decode_metadata_response(await self._channel.call(self._metadata, message))

    async def close(self) -> None:
        await self._channel.close()
