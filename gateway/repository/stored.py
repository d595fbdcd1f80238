"""Models of the store: which of their versions are configured, and each of them as the gateway serves it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.core.catalog import ServedModel
from gateway.preparation import classification, padding, preparation, taken
from gateway.repository.serving import Serving
from gateway.repository.shadowing import allowed_between_servers
from model_store.store import ModelStore, StoredModel


def configured(settings: GatewayConfig, store: ModelStore) -> Iterator[StoredModel]:
    """Each version of each model of the store that is to be served, once.

    Raises:
        StoreError: the store lacks one of them, or its manifest is damaged.
    """
    seen: set[tuple[str, str]] = set()
    for entry in settings.models or store.names():
        name, _, version = entry.partition("/")
        stored = store.get(name, version)
        key = name, stored.manifest.version
        if key not in seen:
            seen.add(key)
            yield stored


def check_labels(settings: GatewayConfig, store: ModelStore) -> None:
    """Return when every label of a model of the store stands for a version that is served.

    Raises:
        ConfigError: one does not; says which versions are.
        StoreError: as ``configured``.
    """
    served: dict[str, list[str]] = {}
    if not settings.labels:
        return
    for stored in configured(settings, store):
        served.setdefault(stored.manifest.name, []).append(stored.manifest.version)
    for name, labels in settings.labels.items():
        for label, version in labels.items():
            if name in served and version not in served[name]:
                raise ConfigError(
                    f"labels.{name}.{label}: version {version!r} is not served; "
                    f"models serves: {', '.join(sorted(served[name], key=int))}"
                )


class StoredModels:
    """The store as a source of served models."""

    def __init__(self, settings: GatewayConfig, serving: Serving, preparing: Executor) -> None:
        self.store = ModelStore(settings.model_store)
        self._settings = settings
        self._serving = serving
        self._preparing = preparing

    def configured(self) -> list[StoredModel]:
        """As the function of that name."""
        return list(configured(self._settings, self.store))

    def wanted(self, name: str) -> list[StoredModel]:
        """The versions of ``name`` to serve: the configured ones, else the latest; read anew from the store.

        Raises:
            StoreError: one is missing or damaged.
        """
        entries = [entry.partition("/")[2] for entry in self._settings.models if entry.partition("/")[0] == name]
        found = [self.store.get(name, version) for version in entries or [""]]
        return list({stored.manifest.version: stored for stored in found}.values())

    def backends_of(self, name: str) -> list[str]:
        """The backends that serve ``name``."""
        return [
            backend
            for backend, settings in self._settings.backends.items()
            if settings.models is None or name in settings.models
        ]

    def served(self, stored: StoredModel) -> ServedModel:
        """``stored`` on all its backends; reads files, and may take long.

        Raises:
            StoreError: a file of its is missing or damaged.
        """
        manifest = stored.manifest
        return ServedModel(
            name=manifest.name,
            version=manifest.version,
            platform="serving-gateway",
            signature=manifest.model_signature(),
            max_batch_size=manifest.max_batch_size,
            labels=tuple(stored.labels()),
            endpoints=tuple(
                self._serving.endpoint(backend, manifest.name, manifest.version)
                for backend in self.backends_of(manifest.name)
            ),
            takes=taken(stored),
            prepare=preparation(stored, self._preparing),
            classify=classification(stored),
            padding=padding(stored),
            allowed=allowed_between_servers(manifest.tolerance),
        )
