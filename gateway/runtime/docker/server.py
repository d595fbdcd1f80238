"""One server of ``gateway up --runtime docker``: its container made, watched and removed."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import Any

from gateway.runtime.docker.container import Container, ContainerState
from gateway.runtime.docker.hardening import RESTART
from gateway.runtime.docker.health import start_healthy
from gateway.runtime.docker.plan import ContainerPlan
from gateway.runtime.docker.project import Project
from gateway.runtime.docker.threads import in_thread
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.server import Server, ServerState

_WATCH_SECONDS = 1.0


class ContainerServer(Server):
    """Makes the container of ``plan``; from then on stands for whatever containers its service has.

    Those may change: ``gateway deploy`` replaces them.
    """

    def __init__(self, plan: ContainerPlan, project: Project) -> None:
        super().__init__(plan.service, plan.image)
        self._plan = plan
        self._project = project
        self._cancelled = threading.Event()

    def facts(self) -> dict[str, Any]:
        return dict(self._plan.facts)

    async def start(self) -> None:
        started = self.started = time.monotonic()
        self._set(ServerState.STARTING)
        try:
            await in_thread(self._start, self._cancelled.set)
        except RuntimeFailure:
            self._set(ServerState.FAILED)
            raise
        self.waiting_for = ""
        self.ready_at = time.monotonic()
        self._set(ServerState.READY, f"ready after {self.ready_at - started:.1f} s")
        self.supervision = asyncio.create_task(self._watch(), name=f"watch {self.name}")

    async def stop(self, hurry: asyncio.Event) -> None:
        await self._end_supervision()
        containers = await in_thread(partial(self._project.containers, self.name))
        await asyncio.gather(*(self._stop(container, hurry) for container in containers))
        if self.state is not ServerState.FAILED:
            self._set(ServerState.STOPPED)

    def _start(self) -> None:
        engine, plan = self._project.engine, self._plan

        def waiting(reason: str) -> None:
            self.waiting_for = reason
            if self._cancelled.is_set():
                raise RuntimeFailure(f"{plan.service}: its start was cancelled")

        waiting(f"image {plan.image}")
        if not engine.image(plan.image):
            engine.pull(plan.image, plan.service, lambda: waiting(f"image {plan.image}"))
        waiting("container")
        container = engine.create(plan.name, plan.service, plan.body)
        for network in plan.networks[1:]:
            engine.connect(network, container, {})
        start_healthy(container, plan.ready_timeout, waiting)
        container.restart_always(RESTART)

    async def _stop(self, container: Container, hurry: asyncio.Event) -> None:
        stopping = asyncio.create_task(in_thread(partial(container.stop, self._plan.stop_timeout)))
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({stopping, hurried}, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not stopping.done():
            await in_thread(container.kill)
        await stopping
        await in_thread(container.remove)

    async def _watch(self) -> None:
        """Tell what happens to the service, for ever."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                states = await in_thread(self._states)
            except RuntimeFailure:
                continue  # a container went while it was asked, or the engine is restarting
            self._note(states)

    def _states(self) -> list[ContainerState]:
        return [container.state() for container in self._project.containers(self.name)]

    def _note(self, states: list[ContainerState]) -> None:
        self.restarts = sum(state.restarts for state in states)
        ended = "; ".join(state.ended for state in states if state.ended) or "its container is gone"
        if any(state.ready for state in states):
            if self.state is not ServerState.READY:
                self._set(ServerState.READY, "ready again")
        elif states and all(state.status == "exited" for state in states):
            if self.state is not ServerState.STOPPED:
                self._set(ServerState.STOPPED, f"stopped from elsewhere: {ended}")
        elif self.state is not ServerState.RESTARTING:
            self._set(ServerState.RESTARTING, ended)
