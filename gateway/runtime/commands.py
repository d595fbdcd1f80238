"""``gateway up``, ``gateway down`` and ``gateway status``."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.reload.file import ConfigFile
from gateway.runtime.console import complain, messages, results
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.follow import Following
from gateway.runtime.stale import clear_stale
from gateway.runtime.state import DEFAULT_RUN_DIRECTORY, RunDirectory, supervisor_alive
from gateway.runtime.tables import servers, status_table
from gateway.runtime.up import run_processes, run_stack

_POLL_SECONDS = 0.1
# How long `status --wait` gives a `gateway up` that was started just before it to appear.
_APPEAR_SECONDS = 15.0
_DOWN_SECONDS = 90.0

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", metavar="FILE", help="Configuration; default: three local backends.")
]
RunDirOption = Annotated[
    Path, typer.Option("--run-dir", metavar="DIR", help="Where state, logs and generated configurations go.")
]


def register(app: typer.Typer) -> None:
    """Add the three commands to ``app``."""
    app.command(
        epilog=_examples(
            "up", "up --backends torchserve,onnxruntime", "up --runtime docker", "up -c gateway.yaml --run-dir run"
        )
    )(up)
    app.command(epilog=_examples("down", "down --run-dir run"))(down)
    app.command(epilog=_examples("status", "status --wait 300", "status --json"))(status)


def up(
    config: ConfigOption = None,
    backends: Annotated[
        str, typer.Option(metavar="A,B,…", help="Start only these backends of the configuration.")
    ] = "",
    runtime: Annotated[
        Literal["process", "docker"], typer.Option(help="Local processes, or containers of a Docker engine.")
    ] = "process",
    images: Annotated[
        str, typer.Option(metavar="PREFIX", help="With --runtime docker: what the names of the images begin with.")
    ] = "serving-gateway",
    run_dir: RunDirOption = DEFAULT_RUN_DIRECTORY,
) -> None:
    """Start the backends and the gateway, and keep them running until Ctrl-C.

    Every server is ready once it has answered a real inference of every model.
    One that dies is started again. A second Ctrl-C skips the drain.
    """
    file = ConfigFile(config)

    def read() -> GatewayConfig:
        return select_backends(file.load(), backends)

    try:
        settings = read()
    except ConfigError as error:
        complain(str(error))
        raise typer.Exit(2) from None
    run = RunDirectory(run_dir)
    try:
        run.create()
        following = Following(file, read, settings)
        run_servers = run_processes if runtime == "process" else _docker_runtime(images)
        with run.lock():
            run_stack(run, lambda: run_servers(settings, run, following))
    except RuntimeFailure as failure:
        complain(str(failure))
        raise typer.Exit(1) from None
    except OSError as error:  # of the run directory: no rights, a full disk, a file where a directory should be
        complain(f"{error.filename or run.shown(run.path)}: {error.strerror}")
        raise typer.Exit(1) from None


def down(run_dir: RunDirOption = DEFAULT_RUN_DIRECTORY) -> None:
    """Stop what `gateway up` started, and wait until it is gone."""
    console = messages()
    run = RunDirectory(run_dir)
    try:
        found = clear_stale(run)
    except RuntimeFailure as failure:
        complain(str(failure))
        raise typer.Exit(1) from None
    if found:
        console.print(Text(f"{run.shown(run.path)}: {found}"), soft_wrap=True)
        return
    state = run.read_state()
    if state is None:
        console.print(Text(_nothing_runs(run)), soft_wrap=True)
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(state["pid"], signal.SIGTERM)
    if not _wait_gone(state, _DOWN_SECONDS):
        os.kill(state["pid"], signal.SIGKILL)  # the reaper stops the servers
        _wait_gone(state, _DOWN_SECONDS)
        clear_stale(run)
    console.print(Text(f"stopped `gateway up` (pid {state['pid']})"))


def status(
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", help="Wait up to this long until everything is ready.", min=0)
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the state file's content.")] = False,
    run_dir: RunDirOption = DEFAULT_RUN_DIRECTORY,
) -> None:
    """Show what runs. The exit code is 0 when everything is ready, else 1."""
    run = RunDirectory(run_dir)
    state = _await_ready(run, wait)
    if state is None:
        complain(_nothing_runs(run))
        raise typer.Exit(1)
    console = results()
    if as_json:
        console.print(Text(json.dumps(state, indent=2)), soft_wrap=True)
    else:
        console.print(status_table(state))
        console.print(Text(f"Logs: {state['logs']}. Models: {', '.join(state['models'])}."))
    if not all_ready(state):
        waiting = [f"{name} is {server['state']}" for name, server in servers(state) if server["state"] != "ready"]
        messages().print(Text(f"not ready: {', '.join(waiting) or state['phase']}"), soft_wrap=True)
        raise typer.Exit(1)


def select_backends(config: GatewayConfig, names: str) -> GatewayConfig:
    """``config`` with only the backends in the comma-separated ``names``; empty keeps all.

    Raises:
        ConfigError: a name is not in the configuration.
    """
    if not names:
        return config
    chosen = [name.strip() for name in names.split(",")]
    for name in chosen:
        if name not in config.backends:
            raise ConfigError(f"--backends: no backend is called {name!r}; there are {', '.join(config.backends)}")
    return config.model_copy(update={"backends": {name: config.backends[name] for name in chosen}})


def all_ready(state: dict[str, Any]) -> bool:
    """Whether every server in the state file's content is ready."""
    return state["phase"] == "ready" and all(server["state"] == "ready" for _, server in servers(state))


def _docker_runtime(images: str) -> Callable[[GatewayConfig, RunDirectory, Following], Coroutine[Any, Any, None]]:
    """Runs a stack in containers of images whose names begin with ``images``.

    Raises:
        RuntimeFailure: the SDK is not installed.
    """
    if importlib.util.find_spec("docker") is None:
        raise RuntimeFailure("the Docker SDK is not installed; install it with: pip install 'serving-gateway[docker]'")
    from gateway.runtime.docker.up import run_containers

    return partial(run_containers, images=images)


def _examples(*commands: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  gateway {command}" for command in commands)


def _await_ready(run: RunDirectory, seconds: float) -> dict[str, Any] | None:
    """The state once everything is ready, or when the time is over; None when nothing runs."""
    started = time.monotonic()
    seen = False
    while True:
        state = run.read_state()
        if state is not None and not supervisor_alive(state):
            state = None
        waited = time.monotonic() - started
        if state is None and (seen or waited >= min(seconds, _APPEAR_SECONDS)):
            return None
        seen = state is not None
        if state is not None and (all_ready(state) or waited >= seconds):
            return state
        time.sleep(_POLL_SECONDS)


def _wait_gone(state: dict[str, Any], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while supervisor_alive(state):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _nothing_runs(run: RunDirectory) -> str:
    failure = run.read_failure()
    reason = f"; the last `gateway up` failed:\n{failure}" if failure else ""
    return f"nothing runs in {run.shown(run.path)}{reason}"
