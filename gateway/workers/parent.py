"""``gateway serve --workers N``: the process that holds the ports, starts the workers, and speaks for all of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any

import aiohttp
import structlog

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.config.token import read_token
from gateway.core.limits import Limits
from gateway.frontends.authorization import Authorization
from gateway.frontends.http_server import HTTPServer
from gateway.frontends.listening import listen
from gateway.http1.serving import Application
from gateway.reload.file import ConfigFile
from gateway.reload.live import LiveConfig
from gateway.reload.triggers import Triggers
from gateway.repository import check_stored
from gateway.telemetry.reload_metrics import ReloadMetrics
from gateway.workers.admin import admin_app
from gateway.workers.admin_logging import logging_routes
from gateway.workers.asking import WorkerClient
from gateway.workers.crew import Crew
from gateway.workers.drained import DrainedReplicas
from gateway.workers.forward import Forward
from gateway.workers.merged_metrics import MergedMetrics
from gateway.workers.ports import SharedPorts
from model_store.errors import StoreError
from model_store.store import ModelStore

_log = structlog.get_logger()


async def serve_workers(settings: GatewayConfig, file: ConfigFile) -> None:
    """Run ``settings.workers`` workers until SIGINT or SIGTERM, which drain all; a second one ends them at once.

    New content of ``file``, and SIGHUP, reach all of them.

    Raises:
        ListenError: a port is taken.
        ConfigError: a setting does not fit what is in the store, or what is installed.
        WorkerFailed: a worker did not start; nothing of the others is left.
    """
    ports = SharedPorts(settings)
    try:
        crew = Crew(settings, ports.listeners)
        stop = asyncio.Event()
        live = _live(settings, file, crew)
        triggers = Triggers(live, file, stop.set)
        async with (
            _session() as session,
            _Doors(settings, crew, live, session, stop) as doors,
        ):
            _follow_signals(crew, triggers, stop)
            addresses = {key: f"{at.host}:{at.port}" for key, at in ports.listeners.items()} | doors.addresses
            watching = [triggers.watch()] if settings.watch else []
            await _run(crew, watching, stop, addresses)
    finally:
        ports.close()


def _session() -> aiohttp.ClientSession:
    # Answers pass through as the workers made them, compressed or not. A connection that a worker has closed meanwhile
    # would look like one that has ended.
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True), auto_decompress=False)


def _live(settings: GatewayConfig, file: ConfigFile, crew: Crew) -> LiveConfig:
    def check(wanted: GatewayConfig) -> None:
        try:
            check_stored(wanted, ModelStore(wanted.model_store))
        except StoreError as error:
            raise ConfigError(f"models: {error}") from None

    metrics = ReloadMetrics(crew.metrics.registry)
    return LiveConfig(settings, read=file.load, check=check, apply=crew.obey, metrics=metrics)


async def _run(
    crew: Crew, watching: Iterable[Coroutine[Any, Any, None]], stop: asyncio.Event, addresses: Mapping[str, str]
) -> None:
    starting = asyncio.create_task(crew.start())
    stopping = asyncio.create_task(stop.wait())
    others = [asyncio.create_task(each) for each in watching]
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            starting.result()
            _log.info("serving", **addresses, workers=len(crew.slots))
            await stopping
    finally:
        stop.set()
        for task in (starting, stopping, *others):
            task.cancel()
        await asyncio.wait({starting, stopping, *others})
        await crew.stop()


def _follow_signals(crew: Crew, triggers: Triggers, stop: asyncio.Event) -> None:
    def end() -> None:
        if stop.is_set():
            crew.kill()
        stop.set()

    meanings = {signal.SIGINT: end, signal.SIGTERM: end, signal.SIGHUP: triggers.hung_up}
    for number, meaning in meanings.items():
        asyncio.get_running_loop().add_signal_handler(number, meaning)


class _Doors:
    """The parent's own ports, metrics and admin, while it is entered.

    Attributes:
        addresses: of each.
    """

    def __init__(
        self,
        settings: GatewayConfig,
        crew: Crew,
        live: LiveConfig,
        session: aiohttp.ClientSession,
        stop: asyncio.Event,
    ) -> None:
        limits = Limits(**settings.limits.model_dump())
        control = settings.control
        authorization = Authorization(read_token(control.token_file), loopback=True)
        workers = WorkerClient(session)
        crew.greetings.append(DrainedReplicas(crew, workers).tell)
        forward = Forward(crew, workers, authorization, limits)
        logging = logging_routes(crew, authorization) if "oip" in settings.protocols else []
        applications: dict[str, Application] = {
            "metrics": MergedMetrics(crew, session),
            "admin": admin_app(crew, live, workers, authorization, logging, forward, stop.is_set, limits),
        }
        self.addresses: dict[str, str] = {}
        self._servers: list[HTTPServer] = []
        for key, application in applications.items():
            listener = getattr(settings, key)
            if listener is not None:
                server = HTTPServer(application, drain_timeout=1, limits=limits)
                self.addresses[key] = f"{listener.host}:{listen(key, listener.host, listener.port, server.bind)}"
                self._servers.append(server)

    async def __aenter__(self) -> _Doors:
        for server in self._servers:
            await server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))
