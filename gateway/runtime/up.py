"""One run of ``gateway up``: plan, progress, supervision, and the traces of it removed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rich.text import Text

from gateway.config.settings import GatewayConfig
from gateway.runtime.child import Child
from gateway.runtime.console import messages, results
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.follow import Following
from gateway.runtime.launchers.front import CONFIG_FILE
from gateway.runtime.plan import Plan, make_plan
from gateway.runtime.progress import Progress
from gateway.runtime.reaper_client import Reaper
from gateway.runtime.stale import clear_stale
from gateway.runtime.state import RunDirectory
from gateway.runtime.supervisor import Supervisor
from gateway.runtime.tables import endpoints_table


def run_stack(run: RunDirectory, start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``start()``, which runs a stack until a signal; the caller holds the run directory's lock.

    Raises:
        RuntimeFailure: it cannot start; nothing of it is left, and the run directory keeps the reason.
    """
    if found := clear_stale(run):
        messages().print(Text(found), soft_wrap=True)
    run.note_failure(None)
    try:
        asyncio.run(start())
    except RuntimeFailure as failure:
        run.note_failure(str(failure))
        raise
    finally:
        run.remove_state()


async def run_processes(config: GatewayConfig, run: RunDirectory, following: Following) -> None:
    """Run what ``config`` asks for as local processes until a signal; raises as ``run_plan`` and ``make_plan``."""
    await run_plan(make_plan(config, run), run, following)


async def run_plan(plan: Plan, run: RunDirectory, following: Following | None = None) -> None:
    """Run the servers of ``plan`` as local processes until a signal, and say on the way what happens.

    The logs of the run before are set aside. ``following`` hands on what changes in the configuration.

    Raises:
        RuntimeFailure: a server did not start.
    """
    reaper = Reaper(run.rotate_log("reaper"))
    gateway, *backends = [
        Child(launch, run.shown(run.rotate_log(launch.name)), reaper) for launch in (plan.gateway, *plan.backends)
    ]
    about = {
        "config": str(run.shown(run.path / CONFIG_FILE)),
        "logs": f"{run.shown(run.logs)}/NAME.log",
        "models": list(plan.models),
    }
    progress = Progress(messages())
    changes = following and asyncio.create_task(following.follow(run.path / CONFIG_FILE, progress.news))
    try:
        await supervise(Supervisor(gateway, backends, run, progress.news, about), progress, plan.example)
    finally:
        if changes:
            changes.cancel()
        reaper.close()


async def supervise(supervisor: Supervisor, progress: Progress, example: str) -> None:
    """Run ``supervisor`` until a signal; once everything is ready, say where, and that ``example`` works.

    Raises:
        RuntimeFailure: a server did not start.
    """
    following = asyncio.create_task(progress.follow(supervisor.servers))

    async def ready() -> None:
        following.cancel()
        await asyncio.wait({following})  # its live lines must be done before anything is printed below them
        console = results()
        console.print(endpoints_table(supervisor.state()))
        console.print(Text(f"\nTry: {example}\nStop with Ctrl-C."), soft_wrap=True)

    try:
        await supervisor.run(ready)
    finally:
        following.cancel()
        await asyncio.wait({following})
