"""What ``gateway up`` says while it works: a live line a server on a terminal, plain lines elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from gateway.runtime.server import Server, ServerState

_REFRESH_SECONDS = 0.1
_MARKS = {
    ServerState.READY: Text("✓", style="green"),
    ServerState.FAILED: Text("✗", style="red"),
    ServerState.STOPPED: Text("-", style="dim"),
}


class Progress:
    """Reports on the servers of one ``gateway up``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = False

    def news(self, name: str, text: str) -> None:
        """Print one line about the server ``name`` (empty: about the whole)."""
        if self._live and text.startswith("ready"):
            return  # the live line shows it
        self._console.print(Text(f"{name}: {text}" if name else text), soft_wrap=True)

    async def follow(self, servers: Sequence[Server]) -> None:
        """Show how the servers start until cancelled."""
        if not self._console.is_terminal:
            for server in servers:
                self.news(server.name, f"to start: {server.title}")
            return
        spinner = Spinner("dots")
        # Refreshed from here: Live's own refreshing would need a thread.
        with Live(_lines(servers, spinner), console=self._console, auto_refresh=False) as live:
            self._live = True
            try:
                while True:
                    live.update(_lines(servers, spinner), refresh=True)
                    await asyncio.sleep(_REFRESH_SECONDS)
            finally:
                live.update(_lines(servers, spinner), refresh=True)
                self._live = False


def _lines(servers: Sequence[Server], spinner: Spinner) -> Table:
    # Fixed widths but for the last column: what a server waits for may be long, and is cut.
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(width=max(len(server.name) for server in servers))
    table.add_column(width=7, justify="right")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for server in servers:
        mark = _MARKS.get(server.state, spinner)
        table.add_row(mark, server.name, _elapsed(server), _detail(server))
    return table


def _elapsed(server: Server) -> str:
    end = server.ready_at if server.ready_at is not None else time.monotonic()
    return "" if server.started is None else f"{end - server.started:.1f} s"


def _detail(server: Server) -> Text:
    if server.waiting_for:
        return Text(f"waiting for its {server.waiting_for}", style="dim")
    return Text(server.title if server.started is not None else "waits for the backends", style="dim")
