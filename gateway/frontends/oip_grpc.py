"""The Open Inference Protocol's gRPC front door."""

from __future__ import annotations

from typing import Any

import grpc

from gateway.codecs import oip_grpc as codec
from gateway.frontends import oip_model
from gateway.frontends.grpc_edge import Gate, infer_method, method
from gateway.frontends.server import Server
from gateway.protos.loader import message_class


def oip_handler(server: Server, gate: Gate) -> grpc.GenericRpcHandler:
    """The handler of ``inference.GRPCInferenceService``."""

    def unary(name: str, answer: Any) -> tuple[str, grpc.RpcMethodHandler]:
        """A method that turns one parsed request into the fields of its response."""
        request_class = message_class(f"inference.{name}Request")
        response_class = message_class(f"inference.{name}Response")

        async def handle(data: bytes, _: grpc.aio.ServicerContext) -> bytes:
            serialised: bytes = response_class(**answer(request_class.FromString(data))).SerializeToString()
            return serialised

        return name, method(gate, handle)

    def model_ready(request: Any) -> dict[str, Any]:
        model = server.catalog.get(request.name, request.version)
        return {"ready": model.ready and server.lifecycle.accepting}

    def statistics(request: Any) -> dict[str, Any]:
        chosen = [server.catalog.get(request.name, request.version)] if request.name else list(server.catalog)
        return {"model_stats": [oip_model.model_statistics(model) for model in chosen]}

    methods = dict(
        [
            unary("ServerLive", lambda _: {"live": True}),
            unary("ServerReady", lambda _: {"ready": server.ready}),
            unary("ModelReady", model_ready),
            unary(
                "ServerMetadata",
                lambda _: {"name": server.name, "version": server.version, "extensions": oip_model.EXTENSIONS},
            ),
            unary("ModelMetadata", lambda r: oip_model.model_metadata(server.catalog.get(r.name, r.version))),
            unary("ModelConfig", lambda r: {"config": oip_model.model_config(server.catalog.get(r.name, r.version))}),
            unary("ModelStatistics", statistics),
        ]
    )
    infer = infer_method(gate, server, "oip-grpc", codec.decode_request, codec.encode_response)
    return grpc.method_handlers_generic_handler(codec.SERVICE, {"ModelInfer": infer, **methods})
