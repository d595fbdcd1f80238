"""Active health checks: every endpoint is asked, and its state follows the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog
from gateway.core.errors import GatewayError

_log = structlog.get_logger()

OnChange = Callable[[Endpoint], None]


class HealthChecker:
    """Checks every endpoint in ``catalog``, each check bounded by ``timeout`` seconds.

    ``on_check`` hears of every result.
    """

    def __init__(
        self, catalog: Catalog, backends: Mapping[str, Backend], *, timeout: float, on_check: OnChange
    ) -> None:
        self._catalog = catalog
        self._backends = backends
        self._timeout = timeout
        self._on_check = on_check

    async def check_all(self) -> None:
        """Check every endpoint once, side by side."""
        await asyncio.gather(*(self.check(endpoint) for model in self._catalog for endpoint in model.endpoints))

    async def check(self, endpoint: Endpoint) -> None:
        """Check one endpoint."""
        backend = self._backends[endpoint.backend]
        was_healthy = endpoint.healthy
        try:
            async with asyncio.timeout(self._timeout):
                await backend.check(endpoint.model, endpoint.version)
        except GatewayError as error:
            endpoint.mark_down(error.message)
        except TimeoutError:
            endpoint.mark_down("health check timed out", late=True)
        except Exception as error:
            # One backend's surprise must not end the checks of the others.
            _log.exception("health check failed unexpectedly", backend=endpoint.backend, model=endpoint.model)
            endpoint.mark_down(f"health check failed: {type(error).__name__}")
        else:
            endpoint.mark_healthy()
        self._on_check(endpoint)
        if endpoint.healthy != was_healthy:
            _log.info(
                "backend is up" if endpoint.healthy else "backend is down",
                backend=endpoint.backend,
                model=endpoint.model,
                problem=endpoint.problem,
            )
