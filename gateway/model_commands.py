"""``gateway stored`` and ``gateway verify``: what the store holds, and whether a server answers as it should."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.backends.hosts import NO_HOSTS
from gateway.config.backends import EmbeddedBackend
from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.connect import connect, host_of
from gateway.core.errors import GatewayError
from gateway.parity.check import check_sample
from gateway.repository.stored import configured
from gateway.runtime.console import complain, results
from gateway.runtime.running import RunningOption, running_config
from model_store.errors import StoreError
from model_store.store import ModelStore, StoredModel


class _Failed(Exception):
    """A server answers wrong, or not at all; the message says which and how."""


def register(app: typer.Typer) -> None:
    """Add the two commands to ``app``."""
    app.command(epilog="Example: gateway stored")(stored)
    app.command(
        epilog="Examples:\n\n  gateway verify onnxruntime\n\n"
        "  gateway verify onnxruntime digits-mlp/2 --host 172.18.0.5"
    )(verify)


def stored(config: RunningOption = None) -> None:
    """Print what the store holds, as JSON: by model and version, the servers that it was built for."""
    store = ModelStore(_settings(config).model_store)
    try:
        built = {
            name: {version: [*store.get(name, version).manifest.artifacts] for version in store.versions(name)}
            for name in store.names()
        }
    except StoreError as error:
        complain(str(error))
        raise typer.Exit(1) from None
    typer.echo(json.dumps(built))


def verify(
    backend: Annotated[str, typer.Argument(metavar="BACKEND", help="Name of the backend.")],
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL[/VERSION]]…", help="Default: all that it serves.")
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The one server to ask, in place of the configuration's.")
    ] = "",
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0.001, help="For one answer.")] = 60.0,
    config: RunningOption = None,
) -> None:
    """Hold a server's answers to the store's samples against what the models' sources answered."""
    settings = _settings(config)
    try:
        asked = _asked(settings, backend, models or [])
        compared = asyncio.run(_verify(settings, backend, host, asked, timeout))
    except ConfigError as error:
        complain(str(error))
        raise typer.Exit(2) from None
    except (StoreError, _Failed) as error:
        complain(str(error))
        raise typer.Exit(1) from None
    results().print(Text(f"{backend} answers as it should: {compared} samples of {len(asked)} models and versions"))


def _settings(config: Path | None) -> GatewayConfig:
    try:
        return running_config(config)
    except ConfigError as error:
        complain(str(error))
        raise typer.Exit(2) from None


def _asked(settings: GatewayConfig, backend: str, entries: list[str]) -> list[StoredModel]:
    servers = [name for name, server in settings.backends.items() if not isinstance(server, EmbeddedBackend)]
    if backend not in servers:
        raise ConfigError(f"no backend that is a server is called {backend!r}; there are {', '.join(servers)}")
    store = ModelStore(settings.model_store)
    if entries:
        return [store.get(*entry.partition("/")[::2]) for entry in entries]
    routed = settings.backends[backend].models
    return [model for model in configured(settings, store) if routed is None or model.manifest.name in routed]


async def _verify(settings: GatewayConfig, name: str, host: str, models: list[StoredModel], timeout: float) -> int:
    """How many samples were compared.

    Raises:
        _Failed: an answer differs too much, or there is none.
    """
    backend_settings = settings.backends[name]
    assert not isinstance(backend_settings, EmbeddedBackend)  # noqa: S101 - refused before
    hosts = {host_of(backend_settings): host} if host else NO_HOSTS
    backend = connect(name, backend_settings, max_body=settings.limits.body_bytes, hosts=hosts)
    compared = 0
    try:
        for model in models:
            for sample in model.answered_samples():
                called = f"{name}: {model.manifest.name}/{model.manifest.version}, sample {sample}"
                try:
                    verdict = await check_sample(backend, model, sample, timeout=timeout)
                except GatewayError as error:
                    raise _Failed(f"{called}: no answer: {error.message}") from None
                if not verdict.passed:
                    raise _Failed(f"{called}: {verdict.reason}")
                compared += 1
    finally:
        await backend.close()
    return compared
