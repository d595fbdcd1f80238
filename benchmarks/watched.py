"""A target whose server's CPU time and memory are read around each of its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks.procfs import cpu_seconds, family, memory, reset_peak
from loadtest.load.loads import AnyLoad
from loadtest.measure.subject import Subject
from loadtest.results.block import Block, unpack


@dataclass(slots=True)
class Usage:
    """What a server used in all blocks of one load.

    Attributes:
        cpu: seconds.
        requests: that were answered or failed meanwhile, those outside of the windows too.
        resident, peak: bytes; the greatest of the blocks.
    """

    cpu: float = 0.0
    requests: int = 0
    resident: int = 0
    peak: int = 0


class Watched(Subject):
    """``usage`` holds what the process ``pid``, and what it has started, used; by the load's spec."""

    def __init__(self, *arguments: Any, pid: int) -> None:
        super().__init__(*arguments)
        self.usage: dict[str, Usage] = {}
        self._pid = pid

    async def measure(self, load: AnyLoad, *arguments: Any, **options: Any) -> Block | None:
        # Connections are opened before the clock runs and before the CPU counts.
        if self.is_void(load) or not await self.connect(load):
            return None
        members = family(self._pid)
        reset_peak(members)
        before = cpu_seconds(members)
        block = await super().measure(load, *arguments, **options)
        used = cpu_seconds(members) - before
        if block is not None:
            usage = self.usage.setdefault(load.spec, Usage())
            usage.cpu += used
            usage.requests += len(unpack(block.scheduled)) + len(unpack(block.failed_at))
            resident, peak = memory(members)
            usage.resident, usage.peak = max(usage.resident, resident), max(usage.peak, peak)
        return block
