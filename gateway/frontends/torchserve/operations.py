"""What the TorchServe doors offer."""

from __future__ import annotations

from gateway.codecs.torchserve_grpc import INFERENCE_SERVICE, MANAGEMENT_SERVICE
from gateway.frontends.operations import Access, Operation

PREDICTIONS = ("/predictions/{name}", "/predictions/{name}/{version}")
MODELS = ("/models/{name}", "/models/{name}/{version}")
_EXPLANATIONS = ("/explanations/{name}", "/explanations/{name}/{version}")

# curl -T, which TorchServe's documentation uses throughout, sends PUT.
_VERBS = ("POST", "PUT")
_NO_EXPLANATIONS = "explanations come from a model's own handler, and the gateway's models have none"
_NO_SCALING = "the number of workers is set where the backends are configured"

HTTP_OPERATIONS = (
    *[Operation(verb, path, "inference", inference=True) for path in PREDICTIONS for verb in _VERBS],
    Operation("POST", "/models/{name}/invoke", "inference", inference=True),
    Operation("POST", "/invocations", "inference on the model in the query, or on the only one", inference=True),
    *[Operation(verb, path, "explanation", missing=_NO_EXPLANATIONS) for path in _EXPLANATIONS for verb in _VERBS],
    Operation("GET", "/ping", "health"),
    Operation("OPTIONS", "/", "description of these operations, as OpenAPI"),
    Operation("GET", "/models", "names of the models, by pages"),
    *[Operation("GET", path, "versions, workers and queue") for path in MODELS],
    Operation("POST", "/models", "load a model that is there already", Access.ADMIN),
    *[Operation("DELETE", path, "unload", Access.ADMIN) for path in MODELS],
    *[Operation("PUT", path, "number of workers", Access.ADMIN, _NO_SCALING) for path in MODELS],
    Operation("PUT", "/models/{name}/{version}/set-default", "default version: the latest one", Access.ADMIN),
    Operation("POST", "/v1/models/{name}:predict", "inference, KServe v1", inference=True),
    Operation("POST", "/v1/models/{name}:explain", "explanation, KServe v1", missing=_NO_EXPLANATIONS),
    Operation("GET", "/v1/models/{name}", "readiness, KServe v1"),
    Operation("GET", "/v1/models", "names of the models, KServe v1"),
    Operation("POST", "/v2/models/{name}/infer", "inference, KServe v2", inference=True),
    Operation("POST", "/v2/models/{name}/explain", "explanation, KServe v2", missing=_NO_EXPLANATIONS),
    Operation("GET", "/v2/models/{name}/ready", "readiness, KServe v2"),
    Operation("GET", "/v2/health/live", "liveness, KServe v2"),
    Operation("GET", "/v2/health/ready", "readiness, KServe v2"),
    Operation("GET", "/v2", "server metadata, KServe v2"),
)

PING = ("rpc", f"{INFERENCE_SERVICE}/Ping")
PREDICT = ("rpc", f"{INFERENCE_SERVICE}/Predictions")
PREDICT_STREAM = ("stream", f"{INFERENCE_SERVICE}/StreamPredictions")
PREDICT_BOTH = ("stream", f"{INFERENCE_SERVICE}/StreamPredictions2")
DESCRIBE = ("rpc", f"{MANAGEMENT_SERVICE}/DescribeModel")
LIST = ("rpc", f"{MANAGEMENT_SERVICE}/ListModels")
REGISTER = ("rpc", f"{MANAGEMENT_SERVICE}/RegisterModel")
UNREGISTER = ("rpc", f"{MANAGEMENT_SERVICE}/UnregisterModel")
SET_DEFAULT = ("rpc", f"{MANAGEMENT_SERVICE}/SetDefault")

GRPC_OPERATIONS = (
    Operation(*PREDICT, "inference", inference=True),
    Operation(*PREDICT_STREAM, "inference, whose answer is a stream of one", inference=True),
    Operation(*PREDICT_BOTH, "inferences one after the other, each with its own status", inference=True),
    Operation(*PING, "health"),
    Operation(*DESCRIBE, "versions, workers and queue"),
    Operation(*LIST, "names of the models, by pages"),
    Operation(*REGISTER, "load a model that is there already", Access.ADMIN),
    Operation(*UNREGISTER, "unload", Access.ADMIN),
    Operation("rpc", f"{MANAGEMENT_SERVICE}/ScaleWorker", "number of workers", Access.ADMIN, _NO_SCALING),
    Operation(*SET_DEFAULT, "default version: the latest one", Access.ADMIN),
)
