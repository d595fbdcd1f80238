"""TensorFlow Serving's gRPC front door."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import grpc

from gateway.codecs import tfs_grpc as codec
from gateway.codecs import tfs_inference, tfs_metadata, tfs_reload, tfs_status
from gateway.codecs.tfs_model_spec import ModelQuery
from gateway.core.messages import RequestContext
from gateway.frontends.grpc_call import Call
from gateway.frontends.grpc_door import GRPCDoor, Handler
from gateway.frontends.grpc_edge import Status
from gateway.frontends.grpc_unary import UnaryHandler
from gateway.frontends.operations import Access, Operation
from gateway.frontends.tfserving.inference import run_task
from gateway.frontends.tfserving.models import (
    SignatureNotFound,
    find,
    signature_called,
    signatures,
    statuses,
    wire_name,
)
from gateway.frontends.tfserving.reload import apply


def _prediction(name: str) -> tuple[str, str]:
    return "rpc", f"{codec.PREDICTION_SERVICE}/{name}"


def _model(name: str) -> tuple[str, str]:
    return "rpc", f"{codec.MODEL_SERVICE}/{name}"


class TFServingGRPCDoor(GRPCDoor):
    """``PredictionService`` and ``ModelService``."""

    operations = (
        Operation(*_prediction("Predict"), "inference", inference=True),
        Operation(*_prediction("Classify"), "labels and scores of examples", inference=True),
        Operation(*_prediction("Regress"), "a value for each example", inference=True),
        Operation(
            *_prediction("MultiInference"),
            "several classifications and regressions of the same examples",
            inference=True,
        ),
        Operation(*_prediction("GetModelMetadata"), "signatures"),
        Operation(*_model("GetModelStatus"), "state of the versions"),
        Operation(*_model("HandleReloadConfigRequest"), "serve exactly the models of a list", Access.ADMIN),
    )

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {
            _prediction("Predict"): _with_precondition(self._inference("Predict", self._predict)),
            _prediction("Classify"): self._inference("Classify", self._classify),
            _prediction("Regress"): self._inference("Regress", self._regress),
            _prediction("MultiInference"): self._inference("MultiInference", self._multi),
            _prediction("GetModelMetadata"): self._metadata,
            _model("GetModelStatus"): self._status,
            _model("HandleReloadConfigRequest"): self._reload,
        }

    def _inference(self, name: str, run: Callable[[bytes, RequestContext], Awaitable[bytes]]) -> UnaryHandler:
        """A handler that runs the inferences of the method ``name`` and reports how they went."""
        _, method = _prediction(name)

        async def handle(data: bytes, context: Call) -> bytes:
            with self.inference("tfserving-grpc", method, context) as call:
                return await run(data, call)

        return handle

    async def _predict(self, data: bytes, call: RequestContext) -> bytes:
        request = codec.decode_predict_request(data, call, self.server.limits)
        query = ModelQuery(request.model, request.version, request.label)
        model = find(self.server.catalog, query)
        name, _ = signature_called(model, request.signature)
        request.version = request.version and model.version
        request.signature = wire_name(model, name)
        return codec.encode_predict_response(await self.server.infer(request), name)

    async def _classify(self, data: bytes, call: RequestContext) -> bytes:
        task, examples = tfs_inference.decode_classification_request(data)
        return tfs_inference.encode_classification_response(await run_task(self.server, task, examples, call))

    async def _regress(self, data: bytes, call: RequestContext) -> bytes:
        task, examples = tfs_inference.decode_regression_request(data)
        return tfs_inference.encode_regression_response(await run_task(self.server, task, examples, call))

    async def _multi(self, data: bytes, call: RequestContext) -> bytes:
        tasks, examples = tfs_inference.decode_multi_request(data)
        # One after the other, as all of them share the call's deadline and measurements.
        results = [await run_task(self.server, task, examples, call) for task in tasks]
        return tfs_inference.encode_multi_response(results)

    async def _metadata(self, data: bytes, _: Call) -> bytes:
        model = find(self.server.catalog, tfs_metadata.decode_metadata_request(data))
        return tfs_metadata.encode_metadata_response(model.name, model.version, signatures(model))

    async def _status(self, data: bytes, _: Call) -> bytes:
        return tfs_status.encode_status_response(statuses(self.server, tfs_status.decode_status_request(data)))

    async def _reload(self, data: bytes, _: Call) -> bytes:
        reload = tfs_reload.decode_reload_request(data)
        await apply(self.server, reload)
        return tfs_reload.encode_reload_response(reload)


def _with_precondition(handler: UnaryHandler) -> UnaryHandler:
    """``handler`` of ``Predict``, which tells of an unknown signature by a code that no other method uses."""

    async def handle(data: bytes, context: Call) -> bytes:
        try:
            return await handler(data, context)
        except SignatureNotFound as error:
            raise Status(grpc.StatusCode.FAILED_PRECONDITION, error.message) from None

    return handle
