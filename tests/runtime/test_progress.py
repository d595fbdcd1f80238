from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from gateway.runtime.progress import Progress
from gateway.runtime.server import Server, ServerState


def server(name: str, **attributes: Any) -> Server:
    defaults = {
        "title": f"{name} 1.0",
        "state": ServerState.STARTING,
        "waiting_for": "",
        "started": None,
        "ready_at": None,
    }
    return cast("Server", SimpleNamespace(name=name, **(defaults | attributes)))


def follow(console: Console, *servers: Server) -> None:
    async def main() -> None:
        progress = Progress(console)
        following = asyncio.create_task(progress.follow(servers))
        await asyncio.sleep(0)
        progress.news("alpha", "ready after 1.0 s")
        progress.news("beta", "exit code 1; restart in 0.5 s; log: beta.log")
        following.cancel()
        await asyncio.wait({following})

    asyncio.run(main())


def test_plain_lines_where_there_is_no_terminal() -> None:
    output = io.StringIO()
    follow(Console(file=output, width=80), server("alpha"))
    assert output.getvalue() == (
        "alpha: to start: alpha 1.0\nalpha: ready after 1.0 s\nbeta: exit code 1; restart in 0.5 s; log: beta.log\n"
    )


def test_a_live_line_each_on_a_terminal() -> None:
    output = io.StringIO()
    console = Console(file=output, width=60, force_terminal=True, color_system=None)
    follow(
        console,
        server("alpha", state=ServerState.READY, started=1.0, ready_at=7.8),
        server("beta", started=1.0, waiting_for="first inference of a-model-with-a-long-name: not listening yet"),
        server("gateway"),
    )
    text = output.getvalue()
    assert "✓ alpha     6.8 s alpha 1.0" in text
    assert "waiting for its first inference" in text
    assert "…" in text  # cut to the width
    assert "waits for the backends" in text
    assert "alpha: ready" not in text  # its line shows it
    assert "beta: exit code 1" in text
