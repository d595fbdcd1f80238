"""The Open Inference Protocol's gRPC front door."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from gateway.codecs import oip_grpc as codec
from gateway.codecs.oip_grpc_head import model_and_version
from gateway.codecs.oip_outputs import OutputWishes
from gateway.codecs.shared_memory import SWITCHED_OFF, SharedMemory
from gateway.core.errors import GatewayError, InvalidRequest, NotFound, Unavailable, forget_frames
from gateway.core.messages import InferResponse, RequestContext
from gateway.frontends.authorization import Caller
from gateway.frontends.grpc_call import Call
from gateway.frontends.grpc_door import GRPCDoor, Handler
from gateway.frontends.oip import inference
from gateway.frontends.oip import model as documents
from gateway.frontends.oip.grpc_control import OPERATIONS, Answer, ControlAnswers
from gateway.frontends.oip.stream import answer_in_order
from gateway.frontends.operations import Operation
from gateway.frontends.unread import refuse_unread
from gateway.protos.loader import message_class

_log = structlog.get_logger()

# Metadata with which a client asks that the first error ends the stream, with a status in place of a message.
_ENDS_WITH_ERROR = "triton_grpc_error"


def _path(name: str) -> str:
    return f"{codec.SERVICE}/{name}"


_INFER = _path("ModelInfer")
_STREAM_INFER = _path("ModelStreamInfer")


class OIPGRPCDoor(GRPCDoor):
    """``inference.GRPCInferenceService``."""

    operations = (
        Operation("rpc", _INFER, "inference", inference=True),
        Operation("stream", _STREAM_INFER, "inferences, each answered in turn", inference=True),
        Operation("rpc", _path("ServerLive"), "liveness"),
        Operation("rpc", _path("ServerReady"), "readiness"),
        Operation("rpc", _path("ModelReady"), "model readiness"),
        Operation("rpc", _path("ServerMetadata"), "server metadata"),
        Operation("rpc", _path("ModelMetadata"), "model metadata"),
        Operation("rpc", _path("ModelConfig"), "model configuration"),
        Operation("rpc", _path("ModelStatistics"), "statistics of one model, or of all"),
        *(replace(operation, path=_path(operation.path)) for operation in OPERATIONS),
    )

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        answers: dict[str, Answer] = {
            "ServerLive": _live,
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "ModelConfig": self._model_config,
            "ModelStatistics": self._statistics,
            **ControlAnswers(self.server).by_name(),
        }
        unary: dict[tuple[str, str], Handler] = {
            ("rpc", _path(name)): _unary(name, answer) for name, answer in answers.items()
        }
        return unary | {
            ("rpc", _INFER): self._infer,
            ("stream", _STREAM_INFER): self._stream,
        }

    async def _infer(self, data: bytes, context: Call) -> bytes:
        with self.inference("oip-grpc", _INFER, context) as call:
            return codec.encode_response(*await self._answer(data, call, self._memory(context)))

    async def _stream(self, messages: AsyncIterator[bytes], context: Call) -> AsyncIterator[bytes]:
        memory = self._memory(context)
        ends_with_error = context.metadata.get(_ENDS_WITH_ERROR) == "true"

        async def answer(data: bytes) -> bytes:
            try:
                with self.inference("oip-grpc", _STREAM_INFER, context) as call:
                    return codec.encode_stream_response(*await self._answer(data, call, memory))
            except GatewayError as error:
                if ends_with_error:
                    raise
                forget_frames(error)
                return codec.encode_stream_error(error.message, data)
            except Exception as error:
                _log.error("request failed unexpectedly", protocol="grpc", exc_info=error)
                return codec.encode_stream_error("internal error", data)

        async for message in answer_in_order(messages, answer, self._gate):
            yield message

    def _memory(self, context: Call) -> SharedMemory:
        regions = self.server.shared_memory
        return SWITCHED_OFF if regions is None else regions.seen_by(context.caller)

    async def _answer(
        self, data: bytes, call: RequestContext, memory: SharedMemory
    ) -> tuple[InferResponse, OutputWishes]:
        if self.server.catalog.guarded and (asked := model_and_version(data)) is not None:
            await refuse_unread(self.server, *asked, call)
        request, wishes = codec.decode_request(data, call, self.server.limits, memory)
        return await inference.answer(self.server, request, wishes, memory), wishes

    async def _server_ready(self, _: Any, __: Caller) -> dict[str, Any]:
        return {"ready": self.server.ready}

    async def _model_ready(self, asked: Any, _: Caller) -> dict[str, Any]:
        try:
            model = self.server.catalog.get(asked.name, asked.version)
        except (NotFound, Unavailable):
            return {"ready": False}  # as Triton answers
        return {"ready": model.ready and self.server.lifecycle.accepting}

    async def _server_metadata(self, _: Any, __: Caller) -> dict[str, Any]:
        return documents.server_metadata(self.server)

    async def _model_metadata(self, asked: Any, _: Caller) -> dict[str, Any]:
        return documents.model_metadata(self.server.catalog, asked.name, asked.version)

    async def _model_config(self, asked: Any, _: Caller) -> dict[str, Any]:
        return {"config": documents.model_config(self.server.catalog, asked.name, asked.version)}

    async def _statistics(self, asked: Any, _: Caller) -> dict[str, Any]:
        return {"model_stats": documents.statistics(self.server.catalog, asked.name, asked.version)}


async def _live(_: Any, __: Caller) -> dict[str, Any]:
    return {"live": True}


def _unary(name: str, answer: Answer) -> Handler:
    """A handler that turns one parsed request into its response."""
    request_class = message_class(f"inference.{name}Request")
    response_class = message_class(f"inference.{name}Response")

    async def handle(data: bytes, context: Call) -> bytes:
        try:
            asked = request_class.FromString(data)
        except DecodeError:
            raise InvalidRequest(f"the message is not a valid inference.{name}Request") from None
        serialised: bytes = response_class(**await answer(asked, context.caller)).SerializeToString()
        return serialised

    return handle
