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

from gateway.runtime.child import Child, ChildState

_REFRESH_SECONDS = 0.1
_MARKS = {
    ChildState.READY: Text("✓", style="green"),
    ChildState.FAILED: Text("✗", style="red"),
    ChildState.STOPPED: Text("-", style="dim"),
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

    async def follow(self, children: Sequence[Child]) -> None:
        """Show how the servers start until cancelled."""
        if not self._console.is_terminal:
            for child in children:
                self.news(child.launch.name, f"to start: {child.launch.server}")
            return
        spinner = Spinner("dots")
        # Refreshed from here: Live's own refreshing would need a thread.
        with Live(_lines(children, spinner), console=self._console, auto_refresh=False) as live:
            self._live = True
            try:
                while True:
                    live.update(_lines(children, spinner), refresh=True)
                    await asyncio.sleep(_REFRESH_SECONDS)
            finally:
                live.update(_lines(children, spinner), refresh=True)
                self._live = False


def _lines(children: Sequence[Child], spinner: Spinner) -> Table:
    # Fixed widths but for the last column: what a server waits for may be long, and is cut.
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=1)
    table.add_column(width=max(len(child.launch.name) for child in children))
    table.add_column(width=7, justify="right")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for child in children:
        mark = _MARKS.get(child.state, spinner)
        table.add_row(mark, child.launch.name, _elapsed(child), _detail(child))
    return table


def _elapsed(child: Child) -> str:
    end = child.ready_at if child.ready_at is not None else time.monotonic()
    return "" if child.started is None else f"{end - child.started:.1f} s"


def _detail(child: Child) -> Text:
    if child.waiting_for:
        return Text(f"waiting for its {child.waiting_for}", style="dim")
    return Text(child.launch.server if child.started is not None else "waits for the backends", style="dim")
