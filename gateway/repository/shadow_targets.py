"""Whether the versions and backends that shadows name are there."""

from __future__ import annotations

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.config.shadowing import ShadowConfig, check_mirrors
from gateway.repository.stored import ServedVersions


def check_shadows(settings: GatewayConfig, served: ServedVersions) -> None:
    """Return when every version that ``shadow`` names is served, of models of the store, and every backend.

    Raises:
        ConfigError: one is not, or the only one would be its own shadow; names the key.
        StoreError: the store lacks a model, or a manifest is damaged.
    """
    backends = {name: backend.models for name, backend in settings.backends.items()}
    try:
        check_mirrors(settings.shadow, settings.compare, backends, settings.labels)  # some may be left out since
    except ValueError as error:
        raise ConfigError(str(error)) from None
    for key, shadow in settings.shadow.items():
        name, _, own = key.partition("/")
        target, place = _target(settings, name, shadow)
        for version, at in ((own, ""), (target, f".{place}")):
            if version:
                served.check(f"shadow.{key}{at}", name, version)
        if target and not shadow.backend and served.by_model.get(name) == [target]:
            raise ConfigError(f"shadow.{key}.{place}: the model would be a shadow of itself; models serves: {target}")


def _target(settings: GatewayConfig, name: str, shadow: ShadowConfig) -> tuple[str, str]:
    """The version that is the target, empty for the model's own, and the key that says so."""
    if shadow.label:
        return settings.labels[name][shadow.label], "label"
    return shadow.version or "", "version"
