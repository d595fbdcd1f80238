"""The Open Inference Protocol over gRPC, out: tensors raw, answers raw or typed."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from gateway.backends.grpc_channel import GRPCChannel, Method, NotForUs
from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.backends.oip_description import ModelConfig, ModelMetadata, TensorMetadata, is_loaded
from gateway.codecs.oip_grpc import SERVICE, decode_response, encode_request
from gateway.core.capabilities import EVERYTHING, Capabilities
from gateway.core.errors import BackendError, DeadlineExceeded, GatewayError, ModelNotFound, Unavailable, Unsupported
from gateway.core.messages import InferRequest, InferResponse
from gateway.protos.loader import message_class

_CALLS = (
    "ModelReady",
    "ModelMetadata",
    "ModelConfig",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
)


class OIPOverGRPC:
    """``timeout`` bounds one call, in seconds; ``max_body`` a message, in bytes."""

    def __init__(self, backend: str, target: str, *, timeout: float, max_body: int, hosts: Hosts = NO_HOSTS) -> None:
        self._backend = backend
        self._channel = GRPCChannel(backend, target, timeout=timeout, max_body=max_body, hosts=hosts)
        self._infer = self._channel.method(f"/{SERVICE}/ModelInfer")
        self._methods: dict[str, tuple[Method, Any, Any]] = {
            name: (
                self._channel.method(f"/{SERVICE}/{name}"),
                message_class(f"inference.{name}Request"),
                message_class(f"inference.{name}Response"),
            )
            for name in _CALLS
        }

    async def meet(self) -> Capabilities:
        return EVERYTHING  # raw contents are part of the protocol, whatever else the server speaks

    async def infer(self, request: InferRequest) -> InferResponse:
        answer = await self._channel.call(self._infer, encode_request(request), request.context)
        return decode_response(answer)

    async def check(self, model: str, version: str) -> None:
        try:
            answer = await self._call("ModelReady", name=model, version=version)
        except (Unavailable, DeadlineExceeded):
            raise
        except GatewayError as error:
            raise Unavailable(f"model not ready: {error.message}") from None
        if not answer.ready:
            raise Unavailable("model not ready")

    async def metadata(self, model: str, version: str) -> ModelMetadata:
        told = await self._call("ModelMetadata", name=model, version=version)
        inputs, outputs = (
            [TensorMetadata(tensor.name, tensor.datatype, tensor.shape) for tensor in side]
            for side in (told.inputs, told.outputs)
        )
        return ModelMetadata(told.platform, list(told.versions), inputs, outputs)

    async def config(self, model: str, version: str) -> ModelConfig:
        try:
            told = (await self._call("ModelConfig", name=model, version=version)).config
        except (Unsupported, ModelNotFound, BackendError):
            return ModelConfig()
        return ModelConfig(told.max_batch_size, {entry.name for entry in told.input if entry.optional})

    async def models(self, *, loaded: bool) -> list[str]:
        told = await self._call("RepositoryIndex")
        names = [entry.name for entry in told.models if not loaded or is_loaded(entry.state)]
        return [*dict.fromkeys(names)]

    async def load(self, model: str) -> None:
        await self._control("RepositoryModelLoad", model)

    async def unload(self, model: str) -> None:
        await self._control("RepositoryModelUnload", model)

    async def close(self) -> None:
        await self._channel.close()

    async def _control(self, name: str, model: str) -> None:
        try:
            await self._call(name, quiet=False, model_name=model)
        except (Unsupported, NotForUs):
            raise Unsupported(
                f"backend {self._backend!r}: the server has no model control, or it is switched off"
            ) from None

    async def _call(self, name: str, /, *, quiet: bool = True, **fields: Any) -> Any:
        method, request_class, response_class = self._methods[name]
        answer = await self._channel.call(method, request_class(**fields).SerializeToString(), quiet=quiet)
        try:
            return response_class.FromString(answer)
        except DecodeError:
            raise BackendError(f"backend {self._backend!r} gave an answer that breaks the protocol") from None
