"""One run of ``gateway up``: plan, progress, supervision, and the traces of it removed at the end."""

from __future__ import annotations

import asyncio

from rich.text import Text

from gateway.config import GatewayConfig
from gateway.runtime.console import messages, results
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.plan import Plan, make_plan
from gateway.runtime.progress import Progress
from gateway.runtime.reaper_client import Reaper
from gateway.runtime.stale import clear_stale
from gateway.runtime.state import RunDirectory
from gateway.runtime.supervisor import Supervisor
from gateway.runtime.tables import endpoints_table


def run_stack(config: GatewayConfig, run: RunDirectory) -> None:
    """Start what ``config`` asks for and run it until a signal; the caller holds the run directory's lock.

    Raises:
        RuntimeFailure: it cannot start; nothing of it is left, and the run directory keeps the reason.
    """
    if found := clear_stale(run):
        messages().print(Text(found), soft_wrap=True)
    run.note_failure(None)
    try:
        asyncio.run(run_plan(make_plan(config, run), run))
    except RuntimeFailure as failure:
        run.note_failure(str(failure))
        raise
    finally:
        run.remove_state()


async def run_plan(plan: Plan, run: RunDirectory) -> None:
    """Run the servers of ``plan`` until a signal, and say on the way what happens.

    Raises:
        RuntimeFailure: a server did not start.
    """
    progress = Progress(messages())
    reaper = Reaper(run.rotate_log("reaper"))
    supervisor = Supervisor(plan, run, reaper, progress.news)
    following = asyncio.create_task(progress.follow(supervisor.children))

    async def ready() -> None:
        following.cancel()
        await asyncio.wait({following})  # its live lines must be done before anything is printed below them
        console = results()
        console.print(endpoints_table(supervisor.state()))
        console.print(Text(f"\nTry: {plan.example}\nStop with Ctrl-C."), soft_wrap=True)

    try:
        await supervisor.run(ready)
    finally:
        following.cancel()
        await asyncio.wait({following})
        reaper.close()
