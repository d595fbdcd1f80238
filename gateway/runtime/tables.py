"""The tables of ``gateway up`` and ``gateway status``, drawn from the state file's content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

_STYLES = {"ready": "green", "failed": "red", "stopped": "dim"}


def servers(state: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and entry of every server: the gateway, then the backends."""
    yield "gateway", state["gateway"]
    yield from state["backends"].items()


def endpoints_table(state: dict[str, Any]) -> Table:
    """Where to send requests."""
    table = _table("server", "what it is", "HTTP", "gRPC")
    for name, server in servers(state):
        table.add_row(name, server["server"], _http(server), server.get("grpc", ""))
    return table


def status_table(state: dict[str, Any]) -> Table:
    """Everything about every server, in 80 columns."""
    table = _table("server", "state", "what it is", "address", "device", "pid", "restarts")
    for name, server in servers(state):
        table.add_row(
            name,
            Text(server["state"], style=_STYLES.get(server["state"], "yellow")),
            server["server"],
            "\n".join(filter(None, (_http(server), server.get("grpc", "")))),
            _device(server),
            str(server["pid"] or ""),
            str(server["restarts"]),
        )
    return table


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, no_wrap=header not in ("what it is", "device"))
    return table


def _http(server: dict[str, Any]) -> str:
    return str(server.get("http") or server.get("url", "")).removeprefix("http://")


def _device(server: dict[str, Any]) -> str:
    if "device" not in server:
        return ""
    threads = server["threads"]
    return f"{server['device']}, {threads} thread{'s' if threads > 1 else ''}"
