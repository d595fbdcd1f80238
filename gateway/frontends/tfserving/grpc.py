"""TensorFlow Serving's gRPC front door."""

from __future__ import annotations

from collections.abc import Mapping

import grpc

from gateway.codecs import tfs_grpc as codec
from gateway.frontends.grpc_door import GRPCDoor, Handler
from gateway.frontends.operations import Operation

_PREDICT = ("rpc", f"{codec.PREDICTION_SERVICE}/Predict")
_METADATA = ("rpc", f"{codec.PREDICTION_SERVICE}/GetModelMetadata")
_STATUS = ("rpc", f"{codec.MODEL_SERVICE}/GetModelStatus")


class TFServingGRPCDoor(GRPCDoor):
    """``PredictionService`` and ``ModelService``."""

    operations = (
        Operation(*_PREDICT, "inference"),
        Operation(*_METADATA, "signatures"),
        Operation(*_STATUS, "state of the versions"),
    )

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {
            _PREDICT: self.infer("tfserving-grpc", codec.decode_predict_request, codec.encode_predict_response),
            _METADATA: self._metadata,
            _STATUS: self._status,
        }

    async def _metadata(self, data: bytes, _: grpc.aio.ServicerContext) -> bytes:
        model = self.server.catalog.get(*codec.decode_metadata_request(data))
        return codec.encode_metadata_response(model.name, model.version, model.signature)

    async def _status(self, data: bytes, _: grpc.aio.ServicerContext) -> bytes:
        model = self.server.catalog.get(*codec.decode_status_request(data))
        return codec.encode_status_response([(int(model.version), model.ready)])
