"""The machine a result was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from loadtest.results import Machine


def this_machine() -> Machine:
    """Describe the machine we run on."""
    pages, page_size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(pages * page_size / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


class StolenTime:
    """How much of the machine's CPU time the host gives to other guests, counted from the object's making."""

    def __init__(self) -> None:
        self._total, self._stolen = _cpu_ticks()

    def share(self) -> float:
        """Between 0 and 1."""
        total, stolen = _cpu_ticks()
        return (stolen - self._stolen) / max(total - self._total, 1)


def _cpu_ticks() -> tuple[int, int]:
    with Path("/proc/stat").open(encoding="ascii") as file:
        # user nice system idle iowait irq softirq steal; the guests that follow are part of user
        ticks = [int(field) for field in file.readline().split()[1:9]]
    return sum(ticks), ticks[7]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()  # ARM kernels name no model
