"""Start a container and wait until it is healthy, or say why it is not."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.runtime.docker.container import Container
from gateway.runtime.errors import RuntimeFailure

POLL_SECONDS = 0.5


def start_healthy(container: Container, seconds: float, waiting: Callable[[str], None]) -> None:
    """Start ``container`` and return once it is healthy; ``waiting`` is told what is missing, and may raise.

    Raises:
        RuntimeFailure: it ended, became unhealthy, or was not healthy within ``seconds``; tells the end of its log.
    """
    container.start()
    deadline = time.monotonic() + seconds
    while True:
        state = container.state()
        if state.ready:
            return
        if not state.running:
            raise failure(container, f"ended before it was healthy: {state.ended}")
        complaint = f": {state.complaint}" if state.complaint else ""
        if state.health == "unhealthy":
            raise failure(container, f"its health check fails{complaint}")
        if time.monotonic() > deadline:
            raise failure(container, f"not healthy within {seconds:g} s{complaint}")
        waiting(f"health check{complaint}")
        time.sleep(POLL_SECONDS)


def failure(container: Container, cause: str) -> RuntimeFailure:
    """What is wrong with ``container``, with the last lines of its log."""
    tail = container.tail()
    shown = f"\nThe last lines of its log:\n{tail}" if tail else ""
    return RuntimeFailure(f"{container.service}: {cause}{shown}")
