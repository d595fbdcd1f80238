"""Replicas that are drained, and a worker that does not know it."""

from __future__ import annotations

import asyncio
import contextlib

import orjson
from yarl import URL

from gateway.core.replicas import ReplicaState
from gateway.workers.asking import Request, WorkerClient
from gateway.workers.crew import Crew
from gateway.workers.worker_slot import WorkerSlot

_TELL_SECONDS = 5.0


class DrainedReplicas:
    """Has a worker that takes the place of another leave alone what the others do not use any more."""

    def __init__(self, crew: Crew, workers: WorkerClient) -> None:
        self._crew = crew
        self._workers = workers

    async def tell(self, newcomer: WorkerSlot) -> None:
        """Drain in ``newcomer`` what is drained in another worker; returns after a few seconds at most."""
        others = [slot for slot in self._crew.ready if slot is not newcomer]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TELL_SECONDS):
                found = await asyncio.gather(*(self._drained(slot) for slot in others))
                for backend, address in set[tuple[str, str]]().union(*found):
                    await self._workers.ask(newcomer, _drain(backend, address))

    async def _drained(self, slot: WorkerSlot) -> set[tuple[str, str]]:
        answer = await self._workers.ask(slot, Request("GET", "/backends", (), b""))
        backends = {} if answer is None else orjson.loads(answer.body)
        return {
            (name, address)
            for name, backend in backends.items()
            for address, replica in backend["replicas"].items()
            if replica["state"] == ReplicaState.DRAINING
        }


def _drain(backend: str, address: str) -> Request:
    # Nothing is in flight there, and nobody waits.
    path = URL.build(path="/backends") / backend / "replicas" / address / "drain"
    return Request("POST", f"{path.raw_path}?timeout=0", (), b"")
