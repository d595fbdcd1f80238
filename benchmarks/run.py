"""One run: the ways to our server side by side, then each of other people's servers beside it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from benchmarks.anatomy import anatomy
from benchmarks.environment import environment
from benchmarks.errors import CannotMeasure
from benchmarks.matrix import BINARY, GRPC, JSON, QUICK, Effort, Form, Size, for_peers
from benchmarks.measure import measure_form
from benchmarks.peers.peer import Peer, peer_server
from benchmarks.process import only_run
from benchmarks.results import Cell, Part, Result, ServerEntry, ToolTimes
from benchmarks.store import make_store
from benchmarks.tools import tool_times
from benchmarks.ways import ENVOY, ENVOY_REQUIREMENT, Server, envoy_proxy, our_stack
from loadtest.errors import LoadTestError
from loadtest.progress import Progress
from loadtest.results.machine import StolenTime, this_environment
from model_store.store import ModelStore

TOLERANCE = 1e-5  # of an answer's elements, from those of direct calls
_FORMS = (BINARY, GRPC, JSON)
_OUR_SHARE = 2 / 3  # of the time, for the ways to our server; the others share what is left


class Run:
    """What was measured so far is in ``result``, also after an interruption."""

    def __init__(self, effort: Effort, peers: Sequence[Peer], folder: Path, progress: Progress) -> None:
        self._effort = effort
        self._peers = peers
        self._folder = folder.absolute()
        self._progress = progress
        self._started = datetime.now(UTC)
        self._began = time.monotonic()
        self._until = self._began + effort.minutes * 60 * _OUR_SHARE
        self._busy = os.getloadavg()[0]
        self._stolen = StolenTime()
        self._servers: dict[str, ServerEntry] = {}
        self._cells: list[Cell] = []
        self._tools: list[ToolTimes] = []
        self._parts: list[Part] = []
        self._left_out: list[str] = []

    async def measure(self, source: ModelStore) -> None:
        """Measure everything, with the net of ``source``.

        Raises:
            CannotMeasure: our own servers do not start, or another run is under way.
            Interrupted: after a cancellation; nothing of it runs any more.
        """
        with only_run(self._folder):
            store = make_store(source, self._folder / "models")
            self._progress("Starting our own servers")
            with our_stack(store, self._folder / "stack") as ours:
                await self._measure_all(ours, store)

    async def _measure_all(self, ours: Sequence[Server], store: ModelStore) -> None:
        direct = ours[0]
        for server in ours:
            self._add(ServerEntry(name=server.name, version=server.version))
        with contextlib.ExitStack() as ending:
            servers = [*ours, *self._begin(lambda: self._envoy(direct), ENVOY, ENVOY_REQUIREMENT, ending)]
            for size in self._effort.sizes:  # small ones first: what a process once held of memory it may keep
                await self._forms(servers, _FORMS, size, self._effort, store)
            self._progress("Measuring with other load testers")
            self._ask_tools(servers, store)
        await self._take_apart(direct, store)
        for number, peer in enumerate(self._peers):
            now, end = time.monotonic(), self._began + self._effort.minutes * 60
            self._until = now + (end - now) / (len(self._peers) - number)
            await self._measure_peer(peer, direct, store)

    @property
    def result(self) -> Result:
        """What was measured so far."""
        return Result(
            started=self._started.isoformat(timespec="seconds"),
            seconds=time.monotonic() - self._began,
            quick=self._effort is QUICK,
            window=self._effort.window,
            blocks=self._effort.blocks,
            busy=self._busy,
            stolen_cpu=self._stolen.share(),
            environment=this_environment({}),
            servers=tuple(self._servers.values()),
            cells=tuple(self._cells),
            tools=tuple(self._tools),
            parts=tuple(self._parts),
            left_out=tuple(self._left_out),
        )

    async def _measure_peer(self, peer: Peer, direct: Server, store: ModelStore) -> None:
        if self._is_late(peer.name):
            return
        self._progress(f"Installing and starting {peer.name}")
        with contextlib.ExitStack() as ending:
            started = self._begin(
                lambda: peer_server(peer, store, self._folder), peer.name, peer.requirements[0], ending
            )
            for server in started:
                self._add(structs.replace(self._servers[server.name], remark=peer.remark))
                for size in self._effort.peer_sizes:
                    effort = for_peers(self._effort, size)
                    await self._forms([direct, server], peer.forms, size, effort, store)

    async def _forms(
        self, servers: Sequence[Server], forms: Sequence[Form], size: Size, effort: Effort, store: ModelStore
    ) -> None:
        for form in (form for form in forms if size in form.sizes):
            title = f"{', '.join(server.name for server in servers)}: {form.name}, {size.name}"
            if self._is_late(title):
                continue
            self._progress(title)
            found = await measure_form(servers, form, size, store=store, effort=effort, progress=lambda _: None)
            self._cells += found.cells
            for name, difference in found.differences.items():
                self._compare(name, difference)

    def _begin(
        self,
        start: Callable[[], contextlib.AbstractContextManager[Server]],
        name: str,
        version: str,
        ending: contextlib.ExitStack,
    ) -> Iterator[Server]:
        """The server, which runs until ``ending``; nothing, and why, when it does not."""
        try:
            server = ending.enter_context(start())
        except (CannotMeasure, OSError) as error:
            self._add(ServerEntry(name=name, version=version, problem=f"{error}"))
            self._left_out.append(f"{name} {error}")
            return
        self._add(ServerEntry(name=name, version=server.version))
        yield server

    def _envoy(self, direct: Server) -> contextlib.AbstractContextManager[Server]:
        return envoy_proxy(environment(self._folder / "envoy", [ENVOY_REQUIREMENT]), direct, self._folder / "stack")

    def _ask_tools(self, servers: Sequence[Server], store: ModelStore) -> None:
        try:
            self._tools += tool_times(servers, store, self._effort)
        except (subprocess.SubprocessError, OSError, StopIteration) as error:
            self._left_out.append(f"service times through other load testers: {error}")

    async def _take_apart(self, direct: Server, store: ModelStore) -> None:
        self._progress("Where the gateway's time goes")
        try:
            self._parts += await anatomy(direct, store, self._folder / "stack", self._effort.anatomy_seconds)
        except (CannotMeasure, LoadTestError, OSError) as error:
            self._left_out.append(f"where the gateway's time goes: it {error}")

    def _compare(self, name: str, difference: float | None) -> None:
        entry = self._servers[name]
        if difference is None:
            return
        worst = max(difference, entry.difference or 0.0)
        problem = f"its answers differ from those of direct calls by {worst:.2g}" if worst > TOLERANCE else ""
        self._add(structs.replace(entry, difference=worst, problem=entry.problem or problem))

    def _add(self, entry: ServerEntry) -> None:
        self._servers[entry.name] = entry

    def _is_late(self, title: str) -> bool:
        late = time.monotonic() > self._until
        if late:
            self._left_out.append(f"{title}: its part of {self._effort.minutes:g} minutes was over")
        return late
