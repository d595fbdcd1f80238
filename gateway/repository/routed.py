"""Routing held against what is served."""

from __future__ import annotations

from gateway.config.file import ConfigError
from gateway.config.routing import unknown_backend
from gateway.config.settings import GatewayConfig
from gateway.core.routing import version_called
from gateway.repository.stored import ServedVersions


def check_routing(settings: GatewayConfig, served: ServedVersions) -> None:
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
    for model, section in settings.routing.items():
        labels = settings.labels.get(model, {})
        for key, name in section.named_versions():
            served.check(f"routing.{model}.{key}", model, version_called(name, labels))
