"""What the Open Inference Protocol tells clients about the server and its models, the same over HTTP and gRPC.

Documents use the field names of the gRPC messages, which are also the keys of the HTTP bodies.
"""

from __future__ import annotations

from typing import Any

from gateway.core.catalog import Catalog, ServedModel
from gateway.core.datatypes import Datatype
from gateway.core.signatures import TensorSpec
from gateway.core.statistics import BatchStatistics, Duration
from gateway.frontends.oip.lookup import labels_of, model_called
from gateway.frontends.server import Server
from gateway.frontends.shared_memory import Region

NO_CUDA = "tensors are not taken from the memory of a GPU; system shared memory is the way for clients on this machine"

# Under Triton's names. "sequence", "trace" and "cuda_shared_memory" are not there: nothing keeps a sequence on one
# backend, and the other two can only be asked.
EXTENSIONS = (
    "classification",
    "model_repository",
    "model_repository(unload_dependents)",
    "schedule_policy",
    "model_configuration",
    "binary_tensor_data",
    "parameters",
    "statistics",
    "logging",
)

# Of a picture: grey, colours, colours with transparency.
_CHANNELS = (1, 3, 4)

_CONFIG_TYPE = {datatype: f"TYPE_{datatype}" for datatype in Datatype} | {Datatype.BYTES: "TYPE_STRING"}


def server_metadata(server: Server) -> dict[str, Any]:
    """The server's metadata document."""
    shared = [] if server.shared_memory is None else ["system_shared_memory"]
    return {"name": server.name, "version": server.version, "extensions": [*EXTENSIONS, *shared]}


def model_names(catalog: Catalog) -> dict[str, Any]:
    """The document that lists the models."""
    return {"models": list(dict.fromkeys(model.name for model in catalog))}


def model_metadata(catalog: Catalog, name: str, version: str = "") -> dict[str, Any]:
    """The model's metadata document."""
    model = model_called(catalog, name, version)
    return {
        "name": model.name,
        "versions": [served.version for served in catalog.versions(name)],
        "platform": model.platform,
        "inputs": [_tensor_metadata(spec) for spec in model.signature.inputs],
        "outputs": [_tensor_metadata(spec) for spec in model.signature.outputs],
    }


def model_config(catalog: Catalog, name: str, version: str = "") -> dict[str, Any]:
    """The model's configuration document, in Triton's terms: dims leave out the batch dimension."""
    model = model_called(catalog, name, version)
    skip = 1 if model.max_batch_size else 0
    versions = [served.version for served in catalog.versions(name)]
    # The protocol's versions are numbers; a server behind the gateway may call its own anything.
    numbers = {"specific": {"versions": [int(one) for one in versions]}} if all(map(str.isdecimal, versions)) else {}
    return {
        "name": model.name,
        "platform": model.platform,
        "backend": "serving-gateway",
        "version_policy": numbers or {"all": {}},
        "max_batch_size": model.max_batch_size,
        "input": [_input_config(spec, skip) for spec in model.signature.inputs],
        "output": [_output_config(model, spec, skip) for spec in model.signature.outputs],
        "model_transaction_policy": {"decoupled": False},
        "response_cache": {"enable": model.cached},
    }


def statistics(catalog: Catalog, name: str = "", version: str = "") -> list[dict[str, Any]]:
    """The statistics documents of one version, of all versions of a model, or of all models."""
    if name:
        model_called(catalog, name, version)
    if version:
        return [_model_statistics(catalog.get(name, version))]
    return [_model_statistics(model) for model in (catalog.versions(name) if name else catalog)]


def region(registered: Region) -> dict[str, Any]:
    """The document of a shared memory region."""
    return {
        "name": registered.name,
        "key": registered.key,
        "offset": registered.offset,
        "byte_size": registered.byte_size,
    }


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
            "compute_input": _duration(statistics.compute.compute_input),
            "compute_infer": _duration(statistics.compute.compute_infer),
            "compute_output": _duration(statistics.compute.compute_output),
            "cache_hit": _duration(statistics.cache_hit),
            "cache_miss": _duration(statistics.cache_miss),
        },
        "batch_stats": [_batch_statistics(size, of_size) for size, of_size in sorted(statistics.by_batch.items())],
    }


def _batch_statistics(size: int, statistics: BatchStatistics) -> dict[str, Any]:
    return {
        "batch_size": size,
        "compute_input": _duration(statistics.compute_input),
        "compute_infer": _duration(statistics.compute_infer),
        "compute_output": _duration(statistics.compute_output),
    }


def _tensor_metadata(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.value, "shape": list(spec.shape)}


def _tensor_config(spec: TensorSpec, skip: int) -> dict[str, Any]:
    return {"name": spec.name, "data_type": _CONFIG_TYPE[spec.datatype], "dims": list(spec.shape[skip:])}


def _input_config(spec: TensorSpec, skip: int) -> dict[str, Any]:
    return _tensor_config(spec, skip) | {"format": _format(spec.shape[skip:])}


def _format(dims: tuple[int, ...]) -> str:
    """How a picture lies in memory; three dimensions of which one is 1, 3 or 4 are taken for one."""
    if len(dims) == 3 and dims[0] in _CHANNELS:
        return "FORMAT_NCHW"
    return "FORMAT_NHWC" if len(dims) == 3 and dims[2] in _CHANNELS else "FORMAT_NONE"


def _output_config(model: ServedModel, spec: TensorSpec, skip: int) -> dict[str, Any]:
    labels = {"label_filename": "labels.txt"} if labels_of(model, spec.name) else {}
    return _tensor_config(spec, skip) | labels


def _duration(duration: Duration) -> dict[str, int]:
    return {"count": duration.count, "ns": duration.ns}
