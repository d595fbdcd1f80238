"""Routing held against what is served."""

from __future__ import annotations

from gateway.config.file import ConfigError
from gateway.config.routing import unknown_backend
from gateway.config.settings import GatewayConfig
from gateway.core.routing import version_called
from gateway.repository.stored import configured
from model_store.store import ModelStore


def check_routing(settings: GatewayConfig, store: ModelStore) -> None:
    """Return when all that ``routing`` names is there: backends for the model, and versions of models of the store.

    Raises:
        ConfigError: something is not; names its key and says what is there.
        StoreError: the store lacks a model, or a manifest is damaged.
    """
    if not settings.routing:
        return
    backends = {name: backend.models for name, backend in settings.backends.items()}
    if problem := unknown_backend(settings.routing, backends):
        raise ConfigError(problem)
    served: dict[str, list[str]] = {}
    for stored in configured(settings, store):
        served.setdefault(stored.manifest.name, []).append(stored.manifest.version)
    for model, section in settings.routing.items():
        labels, versions = settings.labels.get(model, {}), served.get(model)
        if versions is None:
            continue  # not in the store: its backend knows which versions there are
        for key, name in section.named_versions():
            version = version_called(name, labels)
            if version not in versions:
                raise ConfigError(
                    f"routing.{model}.{key}: version {version!r} is not served; "
                    f"models serves: {', '.join(sorted(versions, key=int))}"
                )
