"""The models of the store and of the backends, and which of them this gateway serves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor

import structlog

from gateway import config
from gateway.backends.embedded import EmbeddedBackend
from gateway.backends.health import HealthChecker
from gateway.core.backend import Backend, Endpoint, Load, ModelDescription
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import Conflict, GatewayError, ModelNotFound, Unavailable, Unsupported
from gateway.core.repository import ModelEntry, ModelState
from gateway.preparation import preparation
from gateway.stack import with_stack
from gateway.telemetry.metrics import GatewayMetrics
from model_store.errors import ModelMissing, StoreError
from model_store.store import ModelStore, StoredModel

_log = structlog.get_logger()


class ModelRepository:
    """Fills the catalog: with models of the store, and with models that only a backend knows and describes."""

    def __init__(
        self,
        settings: config.GatewayConfig,
        catalog: Catalog,
        backends: Mapping[str, Backend],
        metrics: GatewayMetrics,
        checker: HealthChecker,
        preparing: Executor,
    ) -> None:
        self._settings = settings
        self._store = ModelStore(settings.model_store)
        self._catalog = catalog
        self._backends = backends
        self._metrics = metrics
        self._checker = checker
        self._preparing = preparing
        self._loads = {name: Load() for name in backends}
        self._changing: dict[str, ModelState] = {}
        self._unloaded: set[str] = set()

    def open(self) -> None:
        """Serve every configured model of the store; embedded engines load here.

        Raises:
            StoreError: the store lacks a model, or an artefact is damaged.
        """
        served = list(self._configured())
        if not served and all(isinstance(backend, EmbeddedBackend) for backend in self._backends.values()):
            raise ModelMissing(
                f"the model store {self._settings.model_store} is empty; build a model: model-store build NAME"
            )
        for name, version in served:
            stored = self._store.get(name, version)
            for backend in self._backends_of(name):
                embedded = self._backends[backend]
                if isinstance(embedded, EmbeddedBackend):
                    embedded.open(name, stored.manifest.version)
            self._serve_stored(stored)

    async def learn(self) -> None:
        """Serve the models that only their backends know, as soon as those can be asked."""
        await asyncio.gather(*(self._learn_from(name, backend) for name, backend in self._backends.items()))

    def index(self) -> list[ModelEntry]:
        """Every model known, whether it is served or not."""
        entries = [
            ModelEntry(
                model.name,
                model.version,
                self._changing.get(model.name, ModelState.READY if model.ready else ModelState.UNAVAILABLE),
                "" if model.ready else "; ".join(f"{end.backend}: {end.problem}" for end in model.endpoints),
            )
            for model in self._catalog
        ]
        served = {entry.name for entry in entries}
        entries += [
            ModelEntry(name, "", ModelState.UNAVAILABLE, reason) for name, reason in self._catalog.expected.items()
        ]
        entries += [
            ModelEntry(name, "", self._changing.get(name, ModelState.UNAVAILABLE), "unloaded")
            for name in sorted({*self._store.names(), *self._unloaded} - served - set(self._catalog.expected))
        ]
        return entries

    async def load(self, name: str) -> None:
        """Serve ``name``, or load it anew, on every backend that has model control; see ``Repository``."""
        with _Changing(self._changing, name, ModelState.LOADING):
            await self._load(name)
        self._unloaded.discard(name)

    async def unload(self, name: str) -> None:
        """Serve ``name`` no more; see ``Repository``."""
        with _Changing(self._changing, name, ModelState.UNLOADING):
            models = self._catalog.versions(name)
            # No new request reaches it from here on.
            self._catalog.remove(name)
            self._unloaded.add(name)
            for model in models:
                await self._control("unload", name, model.version, [end.backend for end in model.endpoints])

    # ---- stored models

    def _configured(self) -> Iterator[tuple[str, str]]:
        """Name and version (empty: latest) of each model of the store that is to be served."""
        for entry in self._settings.models or self._store.names():
            name, _, version = entry.partition("/")
            yield name, version

    def _backends_of(self, name: str) -> list[str]:
        return [
            backend
            for backend, settings in self._settings.backends.items()
            if settings.models is None or name in settings.models
        ]

    def _serve_stored(self, stored: StoredModel) -> ServedModel:
        manifest = stored.manifest
        return self._serve(
            ServedModel(
                name=manifest.name,
                version=manifest.version,
                platform="serving-gateway",
                signature=manifest.model_signature(),
                max_batch_size=manifest.max_batch_size,
                labels=tuple(stored.labels()),
                endpoints=self._endpoints(self._backends_of(manifest.name), manifest.name, manifest.version),
                prepare=preparation(stored, self._preparing),
            )
        )

    async def _load(self, name: str) -> None:
        if name not in self._store.names():
            await self._load_remote(name)
            return
        versions = [version for known, version in self._configured() if known == name] or [""]
        for version in versions:
            try:
                stored = await asyncio.to_thread(self._store.get, name, version)
            except StoreError as error:
                _log.error("cannot load", model=name, error=str(error))
                raise Unavailable(f"model {name!r}: its files in the store cannot be used") from None
            await self._control("load", name, stored.manifest.version, self._backends_of(name))
            await self._settle(self._serve_stored(stored))

    async def _control(self, verb: str, name: str, version: str, backends: list[str]) -> None:
        """``load`` or ``unload`` on those of ``backends`` that have model control; the others hold what they hold."""
        for backend in backends:
            with contextlib.suppress(Unsupported):
                await getattr(self._backends[backend], verb)(name, version)

    # ---- models that only a backend knows

    async def _learn_from(self, name: str, backend: Backend) -> None:
        for model in await self._wanted_from(name, backend):
            if model in self._unloaded or self._is_served_by(model, name):
                continue
            try:
                description = await backend.describe(model)
            except GatewayError as error:
                if model not in {served.name for served in self._catalog}:
                    self._catalog.expect(model, error.message)
            else:
                self._serve_learned(model, name, description)

    async def _wanted_from(self, name: str, backend: Backend) -> list[str]:
        settings = self._settings.backends[name]
        if settings.models is not None:
            return [model for model in settings.models if model not in self._store.names()]
        if settings.kind == "embedded" or settings.launch is not None:
            return []  # it holds what the store holds
        try:
            return [model for model in await backend.list_models() if model not in self._store.names()]
        except GatewayError:
            return []

    def _is_served_by(self, model: str, backend: str) -> bool:
        return any(
            endpoint.backend == backend
            for served in self._catalog
            if served.name == model
            for endpoint in served.endpoints
        )

    def _serve_learned(self, name: str, backend: str, told: ModelDescription) -> None:
        version = told.version or "1"
        known = next((model for model in self._catalog if model.name == name and model.version == version), None)
        if known is not None and known.signature != told.signature:
            _log.error("backends disagree about a model's signature", model=name, backend=backend)
            return
        others = [endpoint.backend for endpoint in known.endpoints] if known is not None else []
        self._serve(
            ServedModel(
                name=name,
                version=version,
                platform=told.platform,
                signature=told.signature,
                signatures=told.signatures,
                max_batch_size=told.max_batch_size,
                labels=told.labels,
                endpoints=self._endpoints([*others, backend], name, version),
            )
        )
        _log.info("model learned", model=name, version=version, backend=backend)

    async def _load_remote(self, name: str) -> None:
        self._unloaded.discard(name)
        told = False
        for backend_name, backend in self._backends.items():
            settings = self._settings.backends[backend_name]
            if settings.models is not None and name not in settings.models:
                continue
            try:
                await backend.load(name, "")
                self._serve_learned(name, backend_name, await backend.describe(name))
                told = True
            except (Unsupported, ModelNotFound):
                continue
        if not told:
            raise ModelNotFound(f"no model {name!r} in the store, and no backend with model control has one")
        for model in self._catalog.versions(name):
            await self._settle(model)

    async def _settle(self, model: ServedModel) -> None:
        await asyncio.gather(*(self._checker.check(endpoint) for endpoint in model.endpoints))
        if not model.ready:
            problems = "; ".join(f"{endpoint.backend}: {endpoint.problem}" for endpoint in model.endpoints)
            raise Unavailable(f"model {model.name!r} is not ready ({problems})")

    def _endpoints(self, backends: list[str], name: str, version: str) -> tuple[Endpoint, ...]:
        return tuple(Endpoint(backend, name, version, load=self._loads[backend]) for backend in backends)

    def _serve(self, model: ServedModel) -> ServedModel:
        model = with_stack(model, self._backends, self._metrics)
        self._metrics.know(model.name)
        self._catalog.add(model)
        return model


class _Changing:
    """Marks a model as being changed; raises Conflict when it already is."""

    def __init__(self, changing: dict[str, ModelState], name: str, state: ModelState) -> None:
        self._changing, self._name, self._state = changing, name, state

    def __enter__(self) -> None:
        if self._name in self._changing:
            raise Conflict(f"model {self._name!r} is {self._changing[self._name].lower()} already")
        self._changing[self._name] = self._state

    def __exit__(self, *_: object) -> None:
        del self._changing[self._name]
