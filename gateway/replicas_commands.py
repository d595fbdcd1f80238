"""``gateway replicas``: the servers behind the name of a backend, as a running gateway sees them."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Table

from gateway.client import ClientError, get_json, post_json
from gateway.runtime.console import results
from gateway.runtime.running import RunningOption, ask_running

_SECONDS = 30.0  # a name server that does not answer takes long to give up

BackendArgument = Annotated[str, typer.Argument(metavar="BACKEND", help="Name of the backend.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_app = typer.Typer(help="Show and drain the servers behind the name of a backend.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(_app, name="replicas")


@_app.command("list", epilog="Example: gateway replicas list onnxruntime --json")
def list_replicas(backend: BackendArgument, config: RunningOption = None, as_json: JsonOption = False) -> None:
    """Show the servers of a backend: up, down or draining, and the requests in flight on each."""

    async def ask(address: str) -> Any:
        backends = await get_json(address, "/backends")
        if backend not in backends:
            raise ClientError(f"no backend is called {backend!r}; there are {', '.join(backends)}")
        return backends[backend]["replicas"]

    _show(ask_running(config, ask), as_json)


@_app.command(epilog="Example: gateway replicas refresh onnxruntime")
def refresh(backend: BackendArgument, config: RunningOption = None, as_json: JsonOption = False) -> None:
    """Have the gateway look the name up now and check the servers that are not up, and show what it found."""
    path = f"/backends/{quote(backend, safe='')}/replicas/refresh"
    _show(ask_running(config, lambda address: post_json(address, path, timeout=_SECONDS)), as_json)


@_app.command(epilog="Example: gateway replicas drain onnxruntime 172.18.0.4 --timeout 60")
def drain(
    backend: BackendArgument,
    ip: Annotated[str, typer.Argument(metavar="IP", help="Address of the server, as `list` shows it.")],
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0, max=86_400, help="How long to wait.")] = 30.0,
    config: RunningOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a server nothing new, and return when it has answered everything; exit code 1 when the time is over first.

    It stays drained until it is gone: stopped, or no longer among the addresses of the name.
    """
    path = f"/backends/{quote(backend, safe='')}/replicas/{quote(ip, safe='')}/drain?timeout={timeout}"
    _show(ask_running(config, lambda address: post_json(address, path, timeout=timeout + _SECONDS)), as_json)


def _show(replicas: dict[str, dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(replicas))
        return
    table = Table("address", "state", "in flight")
    for address, replica in replicas.items():
        table.add_row(address, replica["state"], str(replica["in_flight"]))
    results().print(table)
