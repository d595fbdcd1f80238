"""One gateway process: everything that the configuration asks for, put together, started, drained and stopped.

The only module that knows all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import prometheus_client
import structlog

from gateway import __version__, config, config_backends
from gateway.backends.embedded import EmbeddedBackend, EmbeddedModel
from gateway.backends.health import HealthChecker
from gateway.config_file import ConfigError
from gateway.connect import connect
from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog
from gateway.core.lifecycle import Lifecycle
from gateway.core.limits import Limits
from gateway.frontends.admin import admin_app
from gateway.frontends.authorization import Authorization
from gateway.frontends.grpc_server import GRPCServer
from gateway.frontends.http import HTTPApp
from gateway.frontends.http_server import HTTPServer
from gateway.frontends.server import Server
from gateway.frontends.shared_memory import SharedMemoryRegions
from gateway.parity.watch import ParityWatch
from gateway.repository import ModelRepository
from gateway.stack import build_stack
from gateway.telemetry.logs import LOGS
from gateway.telemetry.metrics import GatewayMetrics
from gateway.telemetry.parity_metrics import ParityMetrics
from model_store.engines import open_engine
from model_store.engines.capabilities import CAPABILITIES
from model_store.manifest import verify_checksums
from model_store.store import ModelStore

_log = structlog.get_logger()

_MAX_PREPARING = 4  # threads that decode pictures and tokenize texts, and so pictures in memory at once


class ListenError(Exception):
    """A port cannot be taken; the message names the setting that holds it."""


class App:
    """A gateway from configuration to exit.

    Construction loads embedded engines; ``run`` takes the ports and serves.

    Raises:
        StoreError: the model store lacks a model, or an artefact is damaged.
        ConfigError: a setting does not fit what is in the store.
    """

    def __init__(self, settings: config.GatewayConfig) -> None:
        self._settings = settings
        self.lifecycle = Lifecycle()
        self.metrics = GatewayMetrics(settings.backends)
        self._preparing = ThreadPoolExecutor(min(_MAX_PREPARING, os.cpu_count() or 1), thread_name_prefix="prepare")
        self._backends = {name: _build_backend(name, backend, settings) for name, backend in settings.backends.items()}
        catalog = Catalog(labels=settings.labels)
        self._checker = HealthChecker(
            catalog, self._backends, timeout=settings.health.timeout, on_check=self._record_check
        )
        self._repository = ModelRepository(
            settings, catalog, self._backends, self.metrics, self._checker, self._preparing
        )
        self._repository.open()
        self._parity = ParityWatch(
            ModelStore(settings.model_store), catalog, self._backends, ParityMetrics(self.metrics.registry)
        )
        self._server = Server(
            name=settings.name,
            version=__version__,
            infer=build_stack(catalog, self.metrics, default_timeout=settings.default_timeout),
            catalog=catalog,
            repository=self._repository,
            lifecycle=self.lifecycle,
            limits=Limits(**settings.limits.model_dump()),
            rejected=self.metrics.rejected,
            authorization=Authorization(_token(settings.control.token_file), loopback=settings.control.loopback),
            logs=LOGS,
            shared_memory=SharedMemoryRegions() if settings.shared_memory else None,
        )
        self._stop = asyncio.Event()

    async def run(self, on_ready: Callable[[Mapping[str, str]], None]) -> None:
        """Serve until ``stop``, then drain.

        ``on_ready`` is called once with the address of every port, when they answer.

        Raises:
            ListenError: a port is taken.
        """
        settings, limits = self._settings, self._server.limits
        doors = HTTPApp(self._server, settings.protocols)
        http = HTTPServer(doors, drain_timeout=settings.drain.timeout, limits=limits)
        metrics = HTTPServer(prometheus_client.make_asgi_app(self.metrics.registry), drain_timeout=1, limits=limits)
        admin_server = replace(self._server, authorization=self._server.authorization.with_loopback())
        admin_doors = HTTPApp(admin_server, settings.protocols)
        admin = HTTPServer(admin_app(admin_server, _describe(settings), admin_doors), drain_timeout=1, limits=limits)
        grpc_server = GRPCServer(self._server, settings.protocols)
        http_servers = {"http": http, "metrics": metrics} | ({"admin": admin} if settings.admin else {})
        addresses = {name: _bind(name, server, getattr(settings, name)) for name, server in http_servers.items()}
        addresses["grpc"] = _bind("grpc", grpc_server, settings.grpc)

        await self._repository.learn()
        await self._checker.check_all()
        self.lifecycle.started = True
        for server in http_servers.values():
            await server.start()
        await grpc_server.start()
        await grpc_server.set_ready(self._server.ready)
        # Apart: a server that hangs when it is asked for its models must not delay the checks of the others.
        watching = [
            asyncio.create_task(self._check_health(grpc_server), name="health-checks"),
            asyncio.create_task(self._keep_learning(), name="learning"),
        ]
        if settings.parity is not None:
            parity = self._parity.run(settings.parity.interval, settings.parity.timeout)
            watching.append(asyncio.create_task(parity, name="parity"))
        _settle_garbage_collector()
        on_ready(addresses)

        await self._stop.wait()
        await self._drain(http, grpc_server)
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
        await asyncio.gather(*(server.stop() for name, server in http_servers.items() if name != "http"))
        await asyncio.gather(*(backend.close() for backend in self._backends.values()))
        self._preparing.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Begin to drain; called again, has no further effect."""
        self._stop.set()

    async def _drain(self, http: HTTPServer, grpc_server: GRPCServer) -> None:
        self.lifecycle.draining = True
        _log.info("draining", grace_s=self._settings.drain.grace, timeout_s=self._settings.drain.timeout)
        await grpc_server.set_ready(False)
        # Whoever watches readiness stops sending; keep-alive clients are told to close with each answer.
        await asyncio.sleep(self._settings.drain.grace)
        await asyncio.gather(http.stop(), grpc_server.stop(self._settings.drain.timeout))
        _log.info("drained")

    async def _check_health(self, grpc_server: GRPCServer) -> None:
        while True:
            await asyncio.sleep(self._settings.health.interval)
            await self._checker.check_all()
            await grpc_server.set_ready(self._server.ready)

    async def _keep_learning(self) -> None:
        while True:
            await asyncio.sleep(self._settings.health.interval)
            await self._repository.learn()

    def _record_check(self, endpoint: Endpoint) -> None:
        self.metrics.backend_ready(endpoint.backend, endpoint.model, endpoint.healthy)


async def serve(settings: config.GatewayConfig) -> None:
    """Run a gateway until SIGINT or SIGTERM; raises as ``App`` and ``App.run``. A second signal ends it at once."""
    app = App(settings)
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()

    def on_signal() -> None:
        if app.lifecycle.draining and main is not None:
            main.cancel()
        app.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    with contextlib.suppress(asyncio.CancelledError):
        await app.run(lambda addresses: _log.info("serving", **addresses))


def _settle_garbage_collector() -> None:
    # What the start has made stays for ever: frameworks leave hundreds of thousands of objects that every full
    # collection would walk while requests wait. What a request makes has no cycles and is freed by its last reference.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _build_backend(name: str, settings: config_backends.Backend, whole: config.GatewayConfig) -> Backend:
    if not isinstance(settings, config_backends.EmbeddedBackend):
        return connect(name, settings, max_body=whole.limits.body_bytes)
    return EmbeddedBackend(
        name,
        _engine_opener(name, settings, whole),
        instances=settings.instances,
        queue_size=settings.queue_size,
        capabilities=CAPABILITIES[settings.engine],
    )


def _engine_opener(
    name: str, settings: config_backends.EmbeddedBackend, whole: config.GatewayConfig
) -> Callable[[str, str], EmbeddedModel]:
    store = ModelStore(whole.model_store)

    def open_model(model: str, version: str) -> EmbeddedModel:
        stored = store.get(model, version)
        verify_checksums(stored.directory, stored.manifest)
        engine = open_engine(settings.engine, stored.directory, stored.manifest, settings.device, settings.threads)
        _log.info("engine loaded", backend=name, engine=settings.engine, model=model, version=version)
        return EmbeddedModel(engine, stored.manifest.model_signature())

    return open_model


def _token(file: Path | None) -> str:
    """The secret in ``file``; empty when there is none."""
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"control.token_file: cannot read {file}: {error}") from None
    if not token:
        raise ConfigError(f"control.token_file: {file} is empty")
    return token


def _bind(key: str, server: HTTPServer | GRPCServer, listener: config.Listener) -> str:
    try:
        port = server.bind(listener.host, listener.port)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is already in use"
        raise ListenError(f"{key}.port: cannot listen on {listener.host}:{listener.port}: {reason}") from None
    return f"{listener.host}:{port}"


def _describe(settings: config.GatewayConfig) -> dict[str, dict[str, Any]]:
    """What the admin port tells of each backend: its kind and addresses."""
    told = {"kind", "url", "grpc", "engine"}
    return {name: backend.model_dump(include=told, exclude_none=True) for name, backend in settings.backends.items()}
