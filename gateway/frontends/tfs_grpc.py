"""TensorFlow Serving's gRPC front door."""

from __future__ import annotations

import grpc

from gateway.codecs import tfs_grpc as codec
from gateway.core.errors import GatewayError
from gateway.frontends.grpc_edge import Gate, method, report, request_context
from gateway.frontends.server import Server


def tfs_handlers(server: Server, gate: Gate) -> tuple[grpc.GenericRpcHandler, ...]:
    """The handlers of ``PredictionService`` and ``ModelService``."""

    async def predict(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
        call = request_context("tfserving-grpc", context)
        try:
            request = codec.decode_predict_request(data, call, server.limits)
            return codec.encode_predict_response(await server.infer(request))
        except GatewayError as error:
            if not call.served_by:
                server.rejected(error.reason)
            raise
        finally:
            report(context, call)

    async def metadata(data: bytes, _: grpc.aio.ServicerContext) -> bytes:
        model = server.catalog.get(*codec.decode_metadata_request(data))
        return codec.encode_metadata_response(model.name, model.version, model.signature)

    async def status(data: bytes, _: grpc.aio.ServicerContext) -> bytes:
        model = server.catalog.get(*codec.decode_status_request(data))
        return codec.encode_status_response([(int(model.version), model.ready)])

    prediction = {"Predict": method(gate, predict), "GetModelMetadata": method(gate, metadata)}
    return (
        grpc.method_handlers_generic_handler(codec.PREDICTION_SERVICE, prediction),
        grpc.method_handlers_generic_handler(codec.MODEL_SERVICE, {"GetModelStatus": method(gate, status)}),
    )
