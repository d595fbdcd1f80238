"""Workers on the nodes of a Ray cluster, one on each: how they are started, spoken to, and taken away again."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any

from loadtest.distributed.offsets import Offset, clock_offset
from loadtest.distributed.worker import Worker
from loadtest.errors import StackError, Unusable
from loadtest.measure.share import Share

# Seconds that a node has for starting a worker: Ray waits for ever where no CPU is free.
_START = 60.0
# Seconds in which the cluster's port must take a connection.
_REACHABLE = 10.0
# Calls that a worker takes at once: one that measures, and one that stops it.
_CALLS = 2


class WorkerLost(Exception):
    """A worker's process or host is gone; ``str`` is a sentence that names it."""


@dataclass(slots=True, frozen=True)
class RemoteWorker:
    """One worker. ``offset`` is of its host's clock."""

    host: str
    offset: Offset
    actor: Any

    async def call(self, method: str, *given: Any) -> Any:
        """What ``Worker.<method>`` returns there.

        Raises:
            WorkerLost: it is gone.
        """
        from ray.exceptions import RayActorError

        try:
            return await _answer(getattr(self.actor, method).remote(*given))
        except RayActorError:
            raise WorkerLost(f"the worker on {self.host} was lost") from None


class RayWorkers:
    """The workers on the cluster at ``address``, from entering to leaving the context.

    Attributes:
        workers: one for each node, in the order of their shares of the load.
    """

    def __init__(self, address: str) -> None:
        self.workers: tuple[RemoteWorker, ...] = ()
        self._address = address

    @property
    def hosts(self) -> tuple[str, ...]:
        """For the report: each host with the offset of its clock from this one's."""
        return tuple(
            f"{worker.host} (clock {worker.offset.offset / 1e6:+.3f} ms ± {worker.offset.error / 1e6:.3f} ms)"
            for worker in self.workers
        )

    async def __aenter__(self) -> RayWorkers:
        """Start the workers.

        Raises:
            Unusable: Ray is not installed.
            StackError: there is no such cluster, or a node starts no worker.
        """
        if find_spec("ray") is None:
            raise Unusable("--ray needs Ray: install serving-gateway[ray]")
        await _look_for(self._address)
        await asyncio.to_thread(_connect, self._address)
        try:
            self.workers = await _start_workers(self._address)
        except BaseException:
            await asyncio.to_thread(_disconnect, ())
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        actors = [worker.actor for worker in self.workers]
        self.workers = ()
        await asyncio.to_thread(_disconnect, actors)

    async def call(self, method: str, *given: Any) -> list[Any]:
        """Call every worker at once; the answers in their order, ``WorkerLost`` in place of a lost one's."""
        return await asyncio.gather(*(worker.call(method, *given) for worker in self.workers), return_exceptions=True)


async def _look_for(address: str) -> None:
    """Ray itself would try for minutes, and could not be interrupted."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return  # such as ``auto``, which Ray looks up
    try:
        async with asyncio.timeout(_REACHABLE):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        writer.close()
    except (OSError, OverflowError) as error:
        raise StackError(f"--ray {address!r}: no Ray cluster answers there: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error) or "timed out"
    return str(reason).partition("\n")[0]


def _connect(address: str) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it tells its makers of its use otherwise
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise StackError(f"--ray {address!r}: no Ray cluster answers there: {_reason(error)}") from None


def _disconnect(actors: Sequence[Any]) -> None:
    import ray

    for actor in actors:
        ray.kill(actor, no_restart=True)
    ray.shutdown()


async def _start_workers(address: str) -> tuple[RemoteWorker, ...]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    if not nodes:
        raise StackError(f"--ray {address!r}: the cluster has no node with a CPU")
    actor = ray.remote(num_cpus=1, max_restarts=0, max_concurrency=_CALLS)(Worker)
    actors = [
        actor.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
            Share(index, len(nodes))
        )
        for index, node in enumerate(nodes)
    ]
    return tuple(
        await asyncio.gather(*(_started(_name(node), actor) for node, actor in zip(nodes, actors, strict=True)))
    )


async def _started(host: str, actor: Any) -> RemoteWorker:
    from ray.exceptions import RayError

    try:
        async with asyncio.timeout(_START):
            await _answer(actor.now.remote())
            return RemoteWorker(host, await clock_offset(lambda: _answer(actor.now.remote()), time.time_ns), actor)
    except TimeoutError:
        raise StackError(f"no worker could be started on {host} in {_START:g} s: it may have no free CPU") from None
    except RayError as error:
        reason = str(error).strip().rpartition("\n")[2]
        raise StackError(f"no worker could be started on {host}: {reason}") from None


def _name(node: dict[str, Any]) -> str:
    """Several nodes may be on one machine, so the host's name alone would not do."""
    return f"{node['NodeManagerHostname']}/{node['NodeID'][:6]}"


def _answer(reference: Any) -> Awaitable[Any]:
    return asyncio.wrap_future(reference.future())
