"""The Open Inference Protocol's gRPC front door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import grpc

from gateway.codecs import oip_grpc as codec
from gateway.frontends.grpc_door import GRPCDoor, Handler
from gateway.frontends.oip import model as documents
from gateway.frontends.operations import Operation
from gateway.protos.loader import message_class


def _rpc(name: str) -> str:
    return f"{codec.SERVICE}/{name}"


class OIPGRPCDoor(GRPCDoor):
    """``inference.GRPCInferenceService``."""

    operations = (
        Operation("rpc", _rpc("ModelInfer"), "inference"),
        Operation("rpc", _rpc("ServerLive"), "liveness"),
        Operation("rpc", _rpc("ServerReady"), "readiness"),
        Operation("rpc", _rpc("ModelReady"), "model readiness"),
        Operation("rpc", _rpc("ServerMetadata"), "server metadata"),
        Operation("rpc", _rpc("ModelMetadata"), "model metadata"),
        Operation("rpc", _rpc("ModelConfig"), "model configuration"),
        Operation("rpc", _rpc("ModelStatistics"), "statistics of one model, or of all"),
    )

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        answers: dict[str, Callable[[Any], dict[str, Any]]] = {
            "ServerLive": lambda _: {"live": True},
            "ServerReady": lambda _: {"ready": self.server.ready},
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda _: documents.server_metadata(self.server),
            "ModelMetadata": lambda asked: documents.model_metadata(self.server.catalog, asked.name, asked.version),
            "ModelConfig": lambda asked: {
                "config": documents.model_config(self.server.catalog.get(asked.name, asked.version))
            },
            "ModelStatistics": lambda asked: {
                "model_stats": documents.statistics(self.server.catalog, asked.name, asked.version)
            },
        }
        infer = self.infer("oip-grpc", codec.decode_request, codec.encode_response)
        return {("rpc", _rpc("ModelInfer")): infer} | {
            ("rpc", _rpc(name)): _unary(name, answer) for name, answer in answers.items()
        }

    def _model_ready(self, asked: Any) -> dict[str, Any]:
        model = self.server.catalog.get(asked.name, asked.version)
        return {"ready": model.ready and self.server.lifecycle.accepting}


def _unary(name: str, answer: Callable[[Any], dict[str, Any]]) -> Handler:
    """A handler that turns one parsed request into the fields of its response."""
    request_class = message_class(f"inference.{name}Request")
    response_class = message_class(f"inference.{name}Response")

    async def handle(data: bytes, _: grpc.aio.ServicerContext) -> bytes:
        serialised: bytes = response_class(**answer(request_class.FromString(data))).SerializeToString()
        return serialised

    return handle
