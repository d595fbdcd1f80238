"""One gateway process: everything that the configuration asks for, put together, started, drained and stopped.

The only module that knows all others.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import structlog

from gateway import __version__
from gateway.admission import ClientRates, client_rates
from gateway.backends.embedded import EmbeddedBackend
from gateway.backends.health import HealthChecker
from gateway.backends.replicated import ReplicatedBackend
from gateway.config.backends import Backend as BackendSettings
from gateway.config.backends import EmbeddedBackend as EmbeddedSettings
from gateway.config.settings import GatewayConfig, Listener
from gateway.config.shown import backend_addresses
from gateway.config.token import read_token
from gateway.connect import connect_all
from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog
from gateway.core.errors import GatewayError
from gateway.core.lifecycle import Lifecycle
from gateway.core.limits import Limits
from gateway.core.messages import RequestContext
from gateway.core.service import Filter
from gateway.embed import embed
from gateway.frontends.admin import admin_app
from gateway.frontends.authorization import Authorization
from gateway.frontends.crowd import Crowd
from gateway.frontends.grpc_server import GRPCServer
from gateway.frontends.http import HTTPApp
from gateway.frontends.http_server import HTTPServer
from gateway.frontends.listening import listen
from gateway.frontends.metrics import MetricsApp
from gateway.frontends.server import Server
from gateway.frontends.shared_memory import SharedMemoryRegions
from gateway.parity.watch import ParityWatch
from gateway.reload.file import ConfigFile
from gateway.reload.live import LiveConfig
from gateway.reload.triggers import Triggers
from gateway.repository import FixedRepository, ModelRepository
from gateway.repository.memory import settle_memory
from gateway.repository.spare_memory import keep_spare_memory
from gateway.routing import model_routing
from gateway.stack import build_stack
from gateway.telemetry.access_log import AccessLines
from gateway.telemetry.logs import LOGS
from gateway.telemetry.loop_lag import LoopLag
from gateway.telemetry.metrics import GatewayMetrics
from gateway.telemetry.page import render
from gateway.telemetry.parity_metrics import ParityMetrics
from gateway.telemetry.reload_metrics import ReloadMetrics
from gateway.telemetry.tracing import open_tracer
from model_store.store import ModelStore

_log = structlog.get_logger()

# Of the time for the check of a backend: each replica's own has to end before it.
_CHECK_OF_REPLICA = 0.9
_ONE_OF_MANY = "with several workers, administrative operations are for the admin port, which reaches them all"
_ONE_SOURCE = "with several workers, the configuration changes for all of them: by its file, or the parent's admin port"
_MAX_PREPARING = 4  # threads that decode pictures and tokenize texts, and so pictures in memory at once


class App:
    """A gateway from configuration to exit.

    Construction loads embedded engines; ``run`` takes the ports and serves. ``file`` is where ``settings`` are from, if
    they may change with it.

    Raises:
        StoreError: the model store lacks a model, or an artefact is damaged.
        ConfigError: a setting does not fit what is in the store, or what is installed.
    """

    def __init__(self, settings: GatewayConfig, file: ConfigFile | None = None) -> None:
        self._settings = settings
        self.lifecycle = Lifecycle()
        self.metrics = GatewayMetrics(settings.backends)
        self._access = AccessLines()
        self._loop_lag = LoopLag(self.metrics.loop_lagged)
        self._preparing = ThreadPoolExecutor(min(_MAX_PREPARING, os.cpu_count() or 1), thread_name_prefix="prepare")
        self._backends = {name: _build_backend(name, backend, settings) for name, backend in settings.backends.items()}
        self._replicated = {
            name: backend for name, backend in self._backends.items() if isinstance(backend, ReplicatedBackend)
        }
        catalog = Catalog(labels=settings.labels)
        self._checker = HealthChecker(
            catalog, self._backends, timeout=settings.health.timeout, on_check=self._record_check
        )
        self._repository = ModelRepository(
            settings, catalog, self._backends, self.metrics, self._checker, self._preparing
        )
        self._repository.open()
        self._watch(catalog)
        self._parity = ParityWatch(
            ModelStore(settings.model_store), catalog, self._backends, ParityMetrics(self.metrics.registry)
        )
        self._catalog = catalog
        self._rates = client_rates(settings.admission)
        self._front = self._stack(settings, self._rates)
        self._crowd = Crowd(self.metrics.turned_away, self._access.turned_away, on=settings.admission is not None)
        self._server = Server(
            name=settings.name,
            version=__version__,
            infer=self._front,
            catalog=catalog,
            repository=self._repository if settings.workers == 1 else FixedRepository(self._repository),
            lifecycle=self.lifecycle,
            limits=Limits(**settings.limits.model_dump()),
            rejected=self._count_rejected,
            authorization=Authorization(
                read_token(settings.control.token_file),
                loopback=settings.control.loopback,
                refusal=_ONE_OF_MANY if settings.workers > 1 else "",
            ),
            logs=LOGS,
            tracer=open_tracer(settings.tracing),
            crowd=self._crowd,
            shared_memory=SharedMemoryRegions() if settings.shared_memory else None,
        )
        self.live = LiveConfig(
            settings,
            read=None if file is None else file.load,
            check=self._repository.check,
            apply=self._obey,
            metrics=ReloadMetrics(self.metrics.registry),
            patches_refused=_ONE_SOURCE if settings.workers > 1 else "",
        )
        self._triggers = None if file is None else Triggers(self.live, file, self.stop)
        self._stop = asyncio.Event()

    async def run(self, on_ready: Callable[[Mapping[str, str]], None]) -> None:
        """Serve until ``stop``, then drain.

        ``on_ready`` is called once with the address of every port, when they answer.

        Raises:
            ListenError: a port is taken.
        """
        settings, limits, shared = self._settings, self._server.limits, self._settings.workers > 1
        app = HTTPApp(self._server, settings.protocols)
        http = HTTPServer(app, drain_timeout=settings.drain.timeout, limits=limits, share_port=shared, crowd=app.crowd)
        metrics = HTTPServer(MetricsApp(partial(render, self.metrics.registry)), drain_timeout=1, limits=limits)
        admin_server = replace(self._server, authorization=self._server.authorization.with_loopback())
        admin_doors = HTTPApp(admin_server, settings.protocols)
        admin = HTTPServer(
            admin_app(
                admin_server,
                backend_addresses(settings),
                self._replicated,
                self.live,
                self._repository.mirroring.findings,
                admin_doors,
            ),
            drain_timeout=1,
            limits=limits,
        )
        grpc_server = GRPCServer(self._server, settings.protocols, share_port=shared)
        http_servers = {"http": http, "metrics": metrics} | ({"admin": admin} if settings.admin else {})
        servers = http_servers | {"grpc": grpc_server}
        addresses = {name: _bind(name, server, getattr(settings, name)) for name, server in servers.items()}

        await asyncio.gather(*(backend.refresh() for backend in self._replicated.values()))
        await self._repository.learn()
        await self._checker.check_all()
        self.lifecycle.started = True
        grpc_server.set_ready(self._server.ready)
        for server in servers.values():
            await server.start()
        # Apart: a server that hangs when it is asked for its models must not delay the checks of the others.
        watching = [
            asyncio.create_task(self._check_health(grpc_server), name="health-checks"),
            asyncio.create_task(self._keep_learning(), name="learning"),
            *(
                asyncio.create_task(each.keep_refreshing(), name=f"replicas of {name}")
                for name, each in self._replicated.items()
            ),
        ]
        if settings.parity is not None:
            parity = self._parity.run(settings.parity.interval, settings.parity.timeout)
            watching.append(asyncio.create_task(parity, name="parity"))
        if self._triggers is not None and settings.watch:
            watching.append(asyncio.create_task(self._triggers.watch(), name="configuration"))
        settle_memory()
        if (spare := keep_spare_memory()) is not None:
            watching.append(asyncio.create_task(spare.watch(), name="memory"))
        self._loop_lag.start()
        on_ready(addresses)

        await self._stop.wait()
        await self._drain(http, grpc_server)
        await self._repository.mirroring.copies.close()  # nobody waits for them
        self._loop_lag.stop()
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
        await asyncio.gather(*(server.stop() for name, server in http_servers.items() if name != "http"))
        await asyncio.gather(*(backend.close() for backend in self._backends.values()))
        await self._server.tracer.close()
        self._preparing.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Begin to drain; called again, has no further effect."""
        self._stop.set()

    def hung_up(self) -> None:
        """Read the file anew: SIGHUP has come."""
        if self._triggers is not None:
            self._triggers.hung_up()

    async def reconfigure(self, settings: GatewayConfig) -> None:
        """Obey ``settings`` from now on, without losing a request.

        Raises:
            ConfigError: they are wrong, or need a restart; names the keys. The ones before hold on.
        """
        await self.live.obey(settings)

    def _obey(self, settings: GatewayConfig) -> None:
        rates = client_rates(settings.admission, self._rates)
        front = self._stack(settings, rates)
        self._repository.reconfigure(settings)
        self._front.inner = front.inner  # the doors hold the outermost filter
        self._crowd.on = settings.admission is not None and not self.lifecycle.draining
        self._rates, self._settings = rates, settings

    def _stack(self, settings: GatewayConfig, rates: ClientRates | None) -> Filter:
        return build_stack(
            self._catalog,
            self.metrics,
            self._access,
            routing=model_routing(settings),
            access_sample=settings.logs.access_sample,
            default_timeout=settings.default_timeout,
            rates=rates,
        )

    async def _drain(self, http: HTTPServer, grpc_server: GRPCServer) -> None:
        self.lifecycle.draining = True
        self._crowd.on = False  # each answer has to say that its connection closes
        _log.info("draining", grace_s=self._settings.drain.grace, timeout_s=self._settings.drain.timeout)
        grpc_server.set_ready(False)
        # Whoever watches readiness stops sending; keep-alive clients are told to close with each answer.
        await asyncio.sleep(self._settings.drain.grace)
        await asyncio.gather(http.stop(), grpc_server.stop(self._settings.drain.timeout))
        _log.info("drained")

    async def _check_health(self, grpc_server: GRPCServer) -> None:
        while True:
            await asyncio.sleep(self._settings.health.interval)
            await self._checker.check_all()
            grpc_server.set_ready(self._server.ready)

    async def _keep_learning(self) -> None:
        while True:
            await asyncio.sleep(self._settings.health.interval)
            await self._repository.learn()

    def _watch(self, catalog: Catalog) -> None:
        self.metrics.watch_circuits(catalog)
        self.metrics.crowd.watch(lambda: self._crowd.limit)
        for name, backend in self._backends.items():
            if isinstance(backend, EmbeddedBackend):
                self.metrics.queues.watch_engine(name, backend.queue)
        for name, replicated in self._replicated.items():
            self.metrics.watch_replicas(name, replicated)

    def _count_rejected(self, error: GatewayError, context: RequestContext) -> None:
        self.metrics.rejected(error.reason)
        if not context.failure:  # else the stack has logged it
            self._access.refused(error, context)

    def _record_check(self, endpoint: Endpoint) -> None:
        self.metrics.backend_ready(endpoint.backend, endpoint.model, endpoint.healthy)


def _build_backend(name: str, settings: BackendSettings, whole: GatewayConfig) -> Backend:
    if not isinstance(settings, EmbeddedSettings):
        check_timeout = _CHECK_OF_REPLICA * whole.health.timeout
        return connect_all(name, settings, max_body=whole.limits.body_bytes, check_timeout=check_timeout)
    return embed(name, settings, ModelStore(whole.model_store))


def _bind(key: str, server: HTTPServer | GRPCServer, listener: Listener) -> str:
    return f"{listener.host}:{listen(key, listener.host, listener.port, server.bind)}"
