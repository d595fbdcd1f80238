"""Models into service and out of it: endpoints, the stack, the catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gateway.backends.health import HealthChecker
from gateway.batching import batch_limits
from gateway.config.settings import GatewayConfig
from gateway.core.backend import Backend, Endpoint, Load
from gateway.core.capabilities import Capabilities
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.circuit import BreakerPolicy, Circuit
from gateway.core.errors import Unavailable
from gateway.filters.cache import Caching
from gateway.filters.policies import Candidate
from gateway.repository.caching import caching
from gateway.repository.shadowing import mirroring
from gateway.stack import candidate, with_stack
from gateway.telemetry.metrics import GatewayMetrics


class Serving:
    """Fills ``catalog``."""

    def __init__(
        self,
        catalog: Catalog,
        backends: Mapping[str, Backend],
        metrics: GatewayMetrics,
        checker: HealthChecker,
        settings: GatewayConfig,
        *,
        idle_timeout: float,
    ) -> None:
        self.catalog = catalog
        self._backends = backends
        self._metrics = metrics
        self._checker = checker
        self._settings = settings
        self._idle_timeout = idle_timeout
        self._caching = caching(settings.cache, metrics.cache)
        self.mirroring = mirroring(catalog, metrics.shadow)
        self._watch_cache()
        self._candidates: dict[tuple[str, str], list[Candidate]] = {}  # by name and version
        self._loads = {name: Load() for name in backends}
        self._breaker = BreakerPolicy(**settings.balancing.breaker.model_dump())
        self._capabilities: dict[str, Capabilities] = {}

    def endpoint(self, backend: str, name: str, version: str, *, learned: bool = False) -> Endpoint:
        """A new endpoint of ``backend``, which calls the version ``version``."""
        circuit = Circuit(self._breaker)
        return Endpoint(backend, name, version, learned=learned, load=self._loads[backend], circuit=circuit)

    def add(self, model: ServedModel) -> None:
        """Serve ``model`` from now on, in place of the one of that name and version, whose counts go on."""
        known = self.catalog.find(model.name, model.version)
        if known is not None:
            model = replace(model, statistics=known.statistics, in_flight=known.in_flight, chances=known.chances)
        for endpoint in model.endpoints:
            endpoint.refusal = self._backends[endpoint.backend].capabilities.refusal(model.signature)
            endpoint.circuit.adopt(self._breaker)  # it may have been made before that changed
        self._metrics.know(model.name)
        candidates = [self._candidate(model, endpoint, self._settings) for endpoint in model.endpoints]
        self._candidates[model.name, model.version] = candidates
        self.catalog.add(self._with_stack(model, candidates, self._settings, self._caching))

    def reconfigure(self, settings: GatewayConfig) -> None:
        """Serve every model by ``settings`` from now on; requests under way end in the stack that they began in.

        Statistics and endpoints stay as they are, and so do the answers that are kept, the queues, the lanes and the
        budgets wherever their settings do.
        """
        cache = self._caching
        if settings.cache != self._settings.cache:
            cache = caching(settings.cache, self._metrics.cache)
        going_on = None if cache is None else replace(cache, goes_on=True)
        candidates = {(model.name, model.version): self._kept_or_new(model, settings) for model in self.catalog}
        models = [
            self._with_stack(model.without_stack(), candidates[model.name, model.version], settings, going_on)
            for model in self.catalog
        ]
        # All is built: nothing can fail from here on, and no request comes between.
        self._settings, self._caching, self._candidates = settings, cache, candidates
        self._watch_cache()
        self._breaker = BreakerPolicy(**settings.balancing.breaker.model_dump())
        for model in models:
            self.catalog.add(model)
            for endpoint in model.endpoints:
                endpoint.circuit.adopt(self._breaker)

    def remove(self, name: str, version: str = "") -> None:
        """Serve ``version`` of ``name`` no more, without ``version`` none of them, and forget what they answered."""
        self.catalog.remove(name, version)
        self._candidates = {key: kept for key, kept in self._candidates.items() if self.catalog.find(*key) is not None}
        if self._caching is not None:
            self._caching.responses.close(name, version)

    async def check(self, endpoints: Iterable[Endpoint]) -> None:
        """Ask the backends whether they are ready for ``endpoints``, side by side."""
        await asyncio.gather(*(self._checker.check(endpoint) for endpoint in endpoints))

    async def add_ready(self, models: Iterable[ServedModel]) -> None:
        """Serve ``models`` once every one of them has a backend that is ready; what is served now stays until then.

        Raises:
            Unavailable: one has none; says why.
        """
        models = list(models)
        await self.check(endpoint for model in models for endpoint in model.endpoints)
        for model in models:
            if not model.ready:
                raise Unavailable(f"model {model.name!r} is not ready ({problems(model)})")
        for model in models:
            self.add(model)

    async def drain(self, models: Iterable[ServedModel]) -> None:
        """Return when ``models``, which nobody can ask for any more, have answered everything or taken too long."""
        try:
            async with asyncio.timeout(self._idle_timeout):
                await asyncio.gather(*(model.in_flight.idle() for model in models))
        except TimeoutError:
            return

    def _with_stack(
        self, model: ServedModel, candidates: Sequence[Candidate], settings: GatewayConfig, cache: Caching | None
    ) -> ServedModel:
        return with_stack(model, candidates, self._backends, self._metrics, settings, cache, self.mirroring)

    def _watch_cache(self) -> None:
        self._metrics.cache.watch(None if self._caching is None else self._caching.responses)

    def _candidate(self, model: ServedModel, endpoint: Endpoint, settings: GatewayConfig) -> Candidate:
        return candidate(model, endpoint, self._backends[endpoint.backend], self._metrics, settings)

    def _kept_or_new(self, model: ServedModel, settings: GatewayConfig) -> list[Candidate]:
        """The ways to the endpoints of ``model``; what a queue has learned is lost only if it gets other bounds."""
        return [
            kept
            if batch_limits(settings, endpoint.backend, model.name)
            == batch_limits(self._settings, endpoint.backend, model.name)
            else self._candidate(model, endpoint, settings)
            for endpoint, kept in zip(model.endpoints, self._candidates[model.name, model.version], strict=True)
        ]

    def note_capabilities(self) -> None:
        """Hold the models against what backends have told of themselves since the last time."""
        changed = {
            name for name, backend in self._backends.items() if self._capabilities.get(name) is not backend.capabilities
        }
        self._capabilities |= {name: self._backends[name].capabilities for name in changed}
        for model in self.catalog if changed else ():
            for endpoint in model.endpoints:
                endpoint.refusal = self._backends[endpoint.backend].capabilities.refusal(model.signature)


def problems(model: ServedModel) -> str:
    """Why ``model`` is not ready on each of its backends."""
    return "; ".join(f"{end.backend}: {end.problem or end.refusal}" for end in model.endpoints)
