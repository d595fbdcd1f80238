"""The models of the store and of the backends, and the control over which of them are served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import replace

import structlog

from gateway.backends.embedded import EmbeddedBackend
from gateway.backends.health import HealthChecker
from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import Conflict, GatewayError, InvalidRequest, ModelNotFound, Unavailable, Unsupported
from gateway.core.repository import ModelEntry, ModelState
from gateway.filters.mirror import Mirroring
from gateway.repository.checks import check_stored
from gateway.repository.learned import LearnedModels
from gateway.repository.memory import give_back_memory
from gateway.repository.serving import Serving, problems
from gateway.repository.stored import StoredModels
from gateway.telemetry.metrics import GatewayMetrics
from model_store.errors import ModelMissing, StoreError

_log = structlog.get_logger()


class ModelRepository:
    """Serves models of the store, and models that only a backend knows; loads and unloads either."""

    def __init__(
        self,
        settings: GatewayConfig,
        catalog: Catalog,
        backends: Mapping[str, Backend],
        metrics: GatewayMetrics,
        checker: HealthChecker,
        preparing: Executor,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._backends = backends
        self._serving = Serving(
            catalog,
            backends,
            metrics,
            checker,
            settings,
            idle_timeout=settings.drain.timeout,
        )
        self._stored = StoredModels(settings, self._serving, preparing)
        self._learned = LearnedModels(settings, backends, self._serving, self._is_ours)
        self._from_store: set[str] = set()
        self._changing: dict[str, ModelState] = {}
        self._unloaded: set[str] = set()

    @property
    def mirroring(self) -> Mirroring:
        """Shadows and comparisons: what is under way, and what was found."""
        return self._serving.mirroring

    def open(self) -> None:
        """Serve every configured model of the store; embedded engines load here.

        Raises:
            StoreError: the store lacks a model, or an artefact is damaged.
            ConfigError: a label stands for a version that is not served.
        """
        models = self._stored.configured()
        if not models and all(isinstance(backend, EmbeddedBackend) for backend in self._backends.values()):
            raise ModelMissing(
                f"the model store {self._settings.model_store} is empty; build a model: model-store build NAME"
            )
        check_stored(self._settings, self._stored.store)
        for stored in models:
            name, version = stored.manifest.name, stored.manifest.version
            self._from_store.add(name)
            for backend in self._stored.backends_of(name):
                embedded = self._backends[backend]
                if isinstance(embedded, EmbeddedBackend):
                    embedded.open(name, version)
            self._serving.add(self._stored.served(stored))

    def check(self, settings: GatewayConfig) -> None:
        """Return when ``settings`` fit the models of the store; reads files.

        Raises:
            ConfigError: they do not; names the key.
        """
        try:
            check_stored(settings, self._stored.store)
        except StoreError as error:
            raise ConfigError(f"models: {error}") from None

    def reconfigure(self, settings: GatewayConfig) -> None:
        """Obey ``settings`` from now on, which differ from those before in what may change at run time, and fit."""
        labels_changed = settings.labels != self._settings.labels
        self._serving.reconfigure(settings)
        self._settings = settings
        if labels_changed:  # else those that a client set stay
            self._catalog.set_labels(settings.labels)

    async def learn(self) -> None:
        """Serve the models that only their backends know, as soon as those can be asked, and as they change."""
        await self._learned.refresh()
        await self._adopt_versions()
        self._serving.note_capabilities()

    def index(self) -> list[ModelEntry]:
        """Every version of every model known, whether it is served or not."""
        entries = [self._served_entry(model) for model in self._catalog]
        named = {entry.name for entry in entries}
        for name, reason in {**self._learned.reasons, **self._catalog.expected}.items():
            if name not in named and name not in self._unloaded:
                entries.append(self._entry(name, "", reason))
        named = {entry.name for entry in entries}
        for name in sorted({*self._stored.store.names(), *self._unloaded, *self._changing} - named):
            reason = "unloaded" if name in self._unloaded else "not loaded"
            entries += [self._entry(name, version, reason) for version in self._stored.store.versions(name) or [""]]
        return entries

    async def load(self, name: str, *, max_batch_size: int | None = None) -> None:
        """Serve ``name``, or load it anew, on every backend that has model control; see ``Repository``."""
        with self._change(name, ModelState.LOADING):
            if name not in self._learned and name in self._stored.store.names():
                await self._load_stored(name, max_batch_size)
                self._from_store.add(name)
            else:
                if max_batch_size is not None:
                    raise Unsupported("max_batch_size: it cannot be changed for a model that is not in the store")
                await self._load_learned(name)
            self._unloaded.discard(name)

    async def unload(self, name: str) -> None:
        """Serve ``name`` no more; see ``Repository``."""
        with self._change(name, ModelState.UNLOADING):
            idle = name in self._catalog.expected or name in self._unloaded or name in self._stored.store.names()
            models = [model for model in self._catalog if model.name == name]
            if not models and not idle:
                raise ModelNotFound(f"unknown model {name!r}")
            # No new request reaches it from here on.
            self._serving.remove(name)
            self._learned.forget(name)
            self._unloaded.add(name)
            await self._give_up(models)
            self._free(models)

    def _is_ours(self, name: str) -> bool:
        return name in self._from_store or name in self._unloaded or name in self._changing

    @contextlib.contextmanager
    def _change(self, name: str, state: ModelState) -> Iterator[None]:
        """Mark ``name`` as being changed; raises Conflict when it already is."""
        if name in self._changing:
            raise Conflict(f"model {name!r} is {self._changing[name].lower()} already")
        self._changing[name] = state
        try:
            yield
        finally:
            del self._changing[name]

    # ---- loading

    async def _load_stored(self, name: str, max_batch_size: int | None) -> None:
        try:
            wanted = await asyncio.to_thread(self._stored.wanted, name)
            models = [await asyncio.to_thread(self._stored.served, stored) for stored in wanted]
        except StoreError as error:
            _log.error("cannot load", model=name, error=str(error))
            raise Unavailable(f"model {name!r}: its files in the store cannot be used") from None
        if max_batch_size is not None:
            if not all(model.signature.batched for model in models):
                raise InvalidRequest(f"max_batch_size: model {name!r} has no batch dimension")
            models = [replace(model, max_batch_size=max_batch_size) for model in models]
        for model in models:
            await self._control("load", name, model.version, [end.backend for end in model.endpoints])
        before = [model for model in self._catalog if model.name == name]
        await self._serving.add_ready(models)
        versions = {model.version for model in models}
        old = [model for model in before if model.version not in versions]
        for model in old:
            self._serving.remove(name, model.version)
        await self._give_up(old)
        self._free(before)

    async def _load_learned(self, name: str) -> None:
        done = await self._control("load", name, "", self._learned.candidates(name))
        # Without model control there, what a server has anyway is served again.
        holders = done or await self._learned.holders(name)
        if not holders:
            raise ModelNotFound(f"no model {name!r} in the store, and no backend has one")
        await self._learned.describe(name, holders)
        for model in self._catalog.versions(name):
            if not model.ready:
                raise Unavailable(f"model {name!r} is not ready ({problems(model)})")

    async def _control(self, verb: str, name: str, version: str, backends: Iterable[str]) -> list[str]:
        """``load`` or ``unload`` on those of ``backends`` that have model control and the model; returns which did it.

        Raises:
            GatewayError: none did it, and one of them failed.
        """
        done: list[str] = []
        failures: list[GatewayError] = []
        for backend in backends:
            try:
                await getattr(self._backends[backend], verb)(name, version)
                done.append(backend)
            except (Unsupported, ModelNotFound):
                continue  # it holds what it holds
            except GatewayError as error:
                _log.error("model control failed", verb=verb, model=name, backend=backend, error=error.message)
                failures.append(error)
        if failures and not done:
            raise failures[0]
        return done

    async def _give_up(self, models: list[ServedModel]) -> None:
        """Unload ``models``, which are out of the catalog, once their requests are answered."""
        await self._serving.drain(models)
        failures: list[GatewayError] = []
        for model in models:
            for endpoint in model.endpoints:
                try:
                    await self._control("unload", model.name, endpoint.version, [endpoint.backend])
                except GatewayError as error:
                    failures.append(error)
        if failures:
            raise failures[0]

    def _free(self, models: list[ServedModel]) -> None:
        """Free the memory of ``models`` that ran in this process; the others cost nothing here."""
        backends = {endpoint.backend for model in models for endpoint in model.endpoints}
        if any(isinstance(self._backends[backend], EmbeddedBackend) for backend in backends):
            give_back_memory()

    # ---- the store's models on servers of others

    async def _adopt_versions(self) -> None:
        """Call the store's models by no version where the server knows none."""
        strangers = {
            name
            for name, settings in self._settings.backends.items()
            if settings.kind != "embedded" and settings.launch is None
        }
        await asyncio.gather(
            *(
                self._adopt_version(model, endpoint)
                for model in self._catalog
                if model.name in self._from_store
                for endpoint in model.endpoints
                if endpoint.backend in strangers and not endpoint.healthy
            )
        )

    async def _adopt_version(self, model: ServedModel, endpoint: Endpoint) -> None:
        with contextlib.suppress(GatewayError, TimeoutError):
            async with asyncio.timeout(self._settings.health.timeout):
                told = await self._backends[endpoint.backend].describe(model.name)
            endpoint.version = model.version if told.version else ""

    # ---- the index

    def _served_entry(self, model: ServedModel) -> ModelEntry:
        disputes = self._learned.disputes(model.name, model.version)
        reasons = [] if model.ready else [problems(model)]
        reasons += [f"{backend} is left out: {reason}" for backend, reason in disputes.items()]
        reasons += [f"{end.backend} cannot carry it: {end.refusal}" for end in model.endpoints if end.refusal]
        state = ModelState.READY if model.ready else ModelState.UNAVAILABLE
        return ModelEntry(model.name, model.version, self._changing.get(model.name, state), "; ".join(reasons))

    def _entry(self, name: str, version: str, reason: str) -> ModelEntry:
        state = self._changing.get(name)
        return ModelEntry(name, version, state or ModelState.UNAVAILABLE, "" if state else reason)
