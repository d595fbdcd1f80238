"""Models into service and out of it: endpoints, the stack, the catalog."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from gateway.backends.health import HealthChecker
from gateway.config.settings import GatewayConfig
from gateway.core.backend import Backend, Endpoint, Load
from gateway.core.capabilities import Capabilities
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.circuit import BreakerPolicy, Circuit
from gateway.core.errors import Unavailable
from gateway.repository.caching import caching
from gateway.stack import with_stack
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
            model = replace(model, statistics=known.statistics, in_flight=known.in_flight)
        for endpoint in model.endpoints:
            endpoint.refusal = self._backends[endpoint.backend].capabilities.refusal(model.signature)
        self._metrics.know(model.name)
        self.catalog.add(with_stack(model, self._backends, self._metrics, self._settings, self._caching))

    def remove(self, name: str, version: str = "") -> None:
        """Serve ``version`` of ``name`` no more, without ``version`` none of them, and forget what they answered."""
        self.catalog.remove(name, version)
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
