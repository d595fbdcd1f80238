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
    """Everything about every server but its log, in 80 columns."""
    table = _table("server", "state", "what it is", "HTTP, gRPC", "device")
    for name, server in servers(state):
        table.add_row(
            _two_lines(name, f"pid {server['pid']}" if server.get("pid") else ""),
            _two_lines(server["state"], _count(server["restarts"], "restart"), _STYLES.get(server["state"], "yellow")),
            server["server"],
            _two_lines(_http(server), server.get("grpc", "")),
            _two_lines(server["device"], _count(server["threads"], "thread")) if "device" in server else "",
        )
    return table


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, no_wrap=header != "what it is")
    return table


def _http(server: dict[str, Any]) -> str:
    return str(server.get("http") or server.get("url", "")).removeprefix("http://")


def _two_lines(first: str, second: str, style: str = "") -> Text:
    return Text.assemble((first, style), ("\n" + second, "dim"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
