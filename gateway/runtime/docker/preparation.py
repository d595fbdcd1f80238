"""A server that is told what to serve by files in a volume: the container that wrote them runs again."""

from __future__ import annotations

import time

from gateway.runtime.docker import RUN_DIRECTORY
from gateway.runtime.docker.container import Container
from gateway.runtime.docker.health import POLL_SECONDS, failure
from gateway.runtime.docker.replace import NEXT, READY_SECONDS, Deployment, pattern_of
from gateway.runtime.docker.template import Change
from gateway.runtime.errors import RuntimeFailure


def prepare(deployment: Deployment, service: str, change: Change) -> None:
    """Run the container that wrote the run directory of ``service`` again, with ``change``; most services have none.

    Raises:
        RuntimeFailure: it failed; tells the end of its log.
    """
    volume = _run_volume(deployment.project.running(service)[0], writable=False)
    if not volume:
        return
    writers = [one for one in deployment.project.containers() if _run_volume(one, writable=True) == volume]
    if not writers:
        raise RuntimeFailure(f"{service}: what it serves is in the volume {volume}, which no container here writes")
    old = writers[0]
    new = deployment.project.engine.create(f"{old.name}{NEXT}", old.service, pattern_of(deployment, old, change).body)
    try:
        _run_to_its_end(deployment, new)
    except BaseException:
        new.remove()
        raise
    name = old.name
    old.remove()
    new.rename(name)


def _run_volume(container: Container, *, writable: bool) -> str:
    """The name of the volume that is the container's run directory; empty when it is none, or not just so."""
    for mount in container.inspect()["Mounts"]:
        if mount["Destination"] == RUN_DIRECTORY and mount["Type"] == "volume" and mount["RW"] is writable:
            return str(mount["Name"])
    return ""


def _run_to_its_end(deployment: Deployment, container: Container) -> None:
    container.start()
    deadline = time.monotonic() + READY_SECONDS
    while (state := container.state()).running:
        deployment.check()
        if time.monotonic() > deadline:
            raise failure(container, f"not done within {READY_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
    if state.exit_code:
        raise failure(container, state.ended)
