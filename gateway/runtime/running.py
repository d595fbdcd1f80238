"""The running gateway that a command of this shell is about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.config.file import ConfigError, load_config
from gateway.config.settings import GatewayConfig
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
