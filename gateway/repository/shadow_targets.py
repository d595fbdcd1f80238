"""Whether the versions and backends that shadows name are there."""

from __future__ import annotations

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.config.shadowing import ShadowConfig, check_mirrors
from gateway.repository.stored import configured
from model_store.store import ModelStore


def check_shadows(settings: GatewayConfig, store: ModelStore) -> None:
    """Return when every version that ``shadow`` names is served, of the models of ``store``, and every backend.

    Raises:
        ConfigError: one is not, or the only one would be its own shadow; names the key.
        StoreError: the store lacks a model, or a manifest is damaged.
    """
    backends = {name: backend.models for name, backend in settings.backends.items()}
    try:
        check_mirrors(settings.shadow, settings.compare, backends, settings.labels)  # some may be left out since
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if not settings.shadow:
        return
    served: dict[str, list[str]] = {}
    for stored in configured(settings, store):
        served.setdefault(stored.manifest.name, []).append(stored.manifest.version)
    for key, shadow in settings.shadow.items():
        name, _, own = key.partition("/")
        if name not in served:
            continue  # only a backend knows it, and may get a new version at any time
        known = ", ".join(sorted(served[name], key=int))
        target, place = _target(settings, name, shadow)
        for version, at in ((own, ""), (target, f".{place}")):
            if version and version not in served[name]:
                raise ConfigError(f"shadow.{key}{at}: version {version!r} is not served; models serves: {known}")
        if target and not shadow.backend and served[name] == [target]:
            raise ConfigError(f"shadow.{key}.{place}: the model would be a shadow of itself; models serves: {known}")


def _target(settings: GatewayConfig, name: str, shadow: ShadowConfig) -> tuple[str, str]:
    """The version that is the target, empty for the model's own, and the key that says so."""
    if shadow.label:
        return settings.labels[name][shadow.label], "label"
    return shadow.version or "", "version"
