"""The running gateway that a command of this shell is about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.client import ClientError
from gateway.config.file import ConfigError, load_config
from gateway.config.settings import GatewayConfig
from gateway.runtime.console import complain
from gateway.runtime.state import DEFAULT_RUN_DIRECTORY, RunDirectory, supervisor_alive

RunningOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file. Without one: that of the stack that runs here.")
]


def running_config(path: Path | None) -> GatewayConfig:
    """The configuration in ``path``, else that of the stack that ``gateway up`` runs here, else the default.

    Raises:
        ConfigError: as ``load_config``.
    """
    state = RunDirectory(DEFAULT_RUN_DIRECTORY).read_state() if path is None else None
    if state is None or not supervisor_alive(state):
        return load_config(path)
    # Its ports are resolved; a variable of this shell must not move them again.
    return load_config(Path(state["config"]), environ={})


def admin_address(settings: GatewayConfig) -> str:
    """Where its admin port is, as ``host:port``.

    Raises:
        ConfigError: it has none.
    """
    if settings.admin is None:
        raise ConfigError("admin: switched off in this configuration, and this command needs it")
    return f"{settings.admin.host}:{settings.admin.port}"


def ask_running(config: Path | None, question: Callable[[str], Coroutine[Any, Any, Any]]) -> Any:
    """The answer to ``question``, which is given the address of the running gateway's admin port.

    Raises:
        typer.Exit: there is none; it has been said why.
    """
    try:
        address = admin_address(running_config(config))
    except ConfigError as error:
        complain(str(error))
        raise typer.Exit(2) from None
    try:
        return asyncio.run(question(address))
    except ClientError as error:
        complain(str(error))
        raise typer.Exit(1) from None
