"""TensorFlow Serving's gRPC front door."""

from __future__ import annotations

import grpc

from gateway.codecs import tfs_grpc as codec
from gateway.frontends.grpc_edge import Gate, infer_method, method
from gateway.frontends.server import Server


def tfs_handlers(server: Server, gate: Gate) -> tuple[grpc.GenericRpcHandler, ...]:
    """The handlers of ``PredictionService`` and ``ModelService``."""

    async def metadata(data: bytes, _: grpc.aio.ServicerContext) -> bytes:
        model = server.catalog.get(*codec.decode_metadata_request(data))
        return codec.encode_metadata_response(model.name, model.version, model.signature)

    async def status(data: bytes, _: grpc.aio.ServicerContext) -> bytes:
        model = server.catalog.get(*codec.decode_status_request(data))
        return codec.encode_status_response([(int(model.version), model.ready)])

    predict = infer_method(gate, server, "tfserving-grpc", codec.decode_predict_request, codec.encode_predict_response)
    prediction = {"Predict": predict, "GetModelMetadata": method(gate, metadata)}
    return (
        grpc.method_handlers_generic_handler(codec.PREDICTION_SERVICE, prediction),
        grpc.method_handlers_generic_handler(codec.MODEL_SERVICE, {"GetModelStatus": method(gate, status)}),
    )
