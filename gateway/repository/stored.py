"""Models of the store: which of their versions are configured, and each of them as the gateway serves it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from functools import cached_property

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.core.catalog import ServedModel
from gateway.preparation import classification, padding, preparation
from gateway.repository.serving import Serving
from gateway.repository.shadowing import allowed_between_servers
from model_store.processing.processor import Processor
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


class ServedVersions:
    """The versions of the store's models that are to be served; read once, and not before somebody asks.

    Raises as ``configured`` then.
    """

    def __init__(self, settings: GatewayConfig, store: ModelStore) -> None:
        self._settings = settings
        self._store = store

    @cached_property
    def by_model(self) -> dict[str, list[str]]:
        """Versions by name, oldest first; a model that is not there may be known to a backend alone."""
        versions: dict[str, list[str]] = {}
        for stored in configured(self._settings, self._store):
            versions.setdefault(stored.manifest.name, []).append(stored.manifest.version)
        return {name: sorted(each, key=int) for name, each in versions.items()}

    def check(self, key: str, model: str, version: str) -> None:
        """Return when ``version`` of ``model`` is served, or the store does not have the model.

        Raises:
            ConfigError: it is not, and ``key`` says it is; names what is served.
        """
        versions = self.by_model.get(model)
        if versions is not None and version not in versions:
            raise ConfigError(f"{key}: version {version!r} is not served; models serves: {', '.join(versions)}")


def check_labels(settings: GatewayConfig, served: ServedVersions) -> None:
    """Return when every label of a model of the store stands for a version that is served.

    Raises:
        ConfigError: one does not; says which versions are.
        StoreError: as ``configured``.
    """
    for name, labels in settings.labels.items():
        for label, version in labels.items():
            served.check(f"labels.{name}.{label}", name, version)


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
        processor = Processor(stored.directory, manifest)  # one for all: a tokenizer takes long to open
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
            takes=processor.takes,
            prepare=preparation(processor, self._preparing),
            classify=classification(processor),
            padding=padding(processor),
            allowed=allowed_between_servers(manifest.tolerance),
        )
