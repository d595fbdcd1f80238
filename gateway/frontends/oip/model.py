"""What the Open Inference Protocol tells clients about the server and its models, the same over HTTP and gRPC.

Documents use the field names of the gRPC messages, which are also the keys of the HTTP bodies.
"""

from __future__ import annotations

from typing import Any

from gateway.core.catalog import Catalog, ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.signatures import TensorSpec
from gateway.core.statistics import Duration
from gateway.frontends.server import Server

EXTENSIONS = ("binary_tensor_data", "model_configuration", "statistics")

_CONFIG_TYPE = {datatype: f"TYPE_{datatype}" for datatype in Datatype} | {Datatype.BYTES: "TYPE_STRING"}


def server_metadata(server: Server) -> dict[str, Any]:
    """The server's metadata document."""
    return {"name": server.name, "version": server.version, "extensions": list(EXTENSIONS)}


def model_metadata(catalog: Catalog, name: str, version: str = "") -> dict[str, Any]:
    """The model's metadata document."""
    model = catalog.get(name, version)
    return {
        "name": model.name,
        "versions": [served.version for served in catalog.versions(name)],
        "platform": model.platform,
        "inputs": [_tensor_metadata(spec) for spec in model.signature.inputs],
        "outputs": [_tensor_metadata(spec) for spec in model.signature.outputs],
    }


def model_config(model: ServedModel) -> dict[str, Any]:
    """The model's configuration document, in Triton's terms: dims leave out the batch dimension."""
    skip = 1 if model.max_batch_size else 0
    return {
        "name": model.name,
        "platform": model.platform,
        "backend": "serving-gateway",
        "max_batch_size": model.max_batch_size,
        "input": [_tensor_config(spec, skip) for spec in model.signature.inputs],
        "output": [_tensor_config(spec, skip) for spec in model.signature.outputs],
    }


def statistics(catalog: Catalog, name: str = "", version: str = "") -> list[dict[str, Any]]:
    """The statistics documents of one version, of all versions of a model, or of all models."""
    if version:
        return [_model_statistics(catalog.get(name, version))]
    return [_model_statistics(model) for model in (catalog.versions(name) if name else catalog)]


def _model_statistics(model: ServedModel) -> dict[str, Any]:
    statistics = model.statistics
    return {
        "name": model.name,
        "version": model.version,
        "last_inference": statistics.last_inference_ms,
        "inference_count": statistics.inference_count,
        "execution_count": statistics.execution_count,
        "inference_stats": {
            "success": _duration(statistics.success),
            "fail": _duration(statistics.fail),
            "queue": _duration(statistics.queue),
            "compute_input": _duration(statistics.compute_input),
            "compute_infer": _duration(statistics.compute_infer),
            "compute_output": _duration(statistics.compute_output),
        },
    }


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.value, "shape": list(spec.shape)}


def _tensor_config(spec: TensorSpec, skip: int) -> dict[str, Any]:
    return {"name": spec.name, "data_type": _CONFIG_TYPE[spec.datatype], "dims": list(spec.shape[skip:])}


def _duration(duration: Duration) -> dict[str, int]:
    return {"count": duration.count, "ns": duration.ns}
