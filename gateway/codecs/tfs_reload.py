"""TensorFlow Serving's ``HandleReloadConfigRequest``: the whole list of models that a server is to serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import DecodeError

from gateway.codecs.tfs_model_spec import parse_message
from gateway.core.errors import BackendError, InvalidRequest
from gateway.protos.loader import message_class

_Request = message_class("tensorflow.serving.ReloadConfigRequest")
_Response = message_class("tensorflow.serving.ReloadConfigResponse")
_CONFIGS = "config.model_config_list.config"


@dataclass(slots=True, frozen=True)
class ModelConfig:
    """One model of the list: ``versions`` to serve (None: as the server likes), and version by label."""

    name: str
    versions: frozenset[str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True)
class Reload:
    """The models that are to be served, and the names of the metrics whose increase the caller wants to know."""

    models: Sequence[ModelConfig]
    metrics: Sequence[str] = ()


def decode_reload_request(data: bytes) -> Reload:
    """The list in a serialised ``ReloadConfigRequest``.

    Paths in it are not read: what is served here comes from the model store and the backends, never from where a
    client points.

    Raises:
        InvalidRequest: it is no list of models, a model has no name, or a name comes twice.
    """
    message = parse_message(_Request, data)
    if message.config.WhichOneof("config") != "model_config_list":
        raise InvalidRequest("config: only model_config_list is supported")
    models = [_decode_config(index, entry) for index, entry in enumerate(message.config.model_config_list.config)]
    names = [model.name for model in models]
    if len(set(names)) != len(names):
        raise InvalidRequest(f"{_CONFIGS}: a name comes twice in {names}")
    return Reload(models, list(message.metric_names))


def encode_reload_response(reload: Reload) -> bytes:
    """The serialised ``ReloadConfigResponse`` of a success; no metric of the caller's is known, so none increased."""
    message = _Response()
    message.status.SetInParent()
    for name in reload.metrics:
        message.metric.add(name=name, int64_value_increase=0)
    serialised: bytes = message.SerializeToString()
    return serialised


def encode_reload_request(base_paths: Mapping[str, str]) -> bytes:
    """The serialised ``ReloadConfigRequest`` for models by name, each with its folder on the server."""
    message = _Request()
    message.config.model_config_list.SetInParent()
    for name, path in base_paths.items():
        message.config.model_config_list.config.add(name=name, base_path=path, model_platform="tensorflow")
    serialised: bytes = message.SerializeToString()
    return serialised


def decode_reload_response(data: bytes) -> None:
    """Return when a serialised ``ReloadConfigResponse`` tells of success.

    Raises:
        BackendError: it does not.
    """
    try:
        failed = _Response.FromString(data).status.error_code
    except DecodeError:
        raise BackendError("the backend's answer breaks the protocol") from None
    if failed:
        raise BackendError(f"the backend could not load its models (code {failed})")


def _decode_config(index: int, entry: Any) -> ModelConfig:
    if not entry.name:
        raise InvalidRequest(f"{_CONFIGS}[{index}].name: missing")
    policy = entry.model_version_policy
    versions = None
    if policy.WhichOneof("policy_choice") == "specific":
        versions = frozenset(str(version) for version in policy.specific.versions)
    return ModelConfig(entry.name, versions, {label: str(version) for label, version in entry.version_labels.items()})
