"""What a worker asks of Linux about its own process."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def print_to(log: Path) -> None:
    """Send whatever is printed to ``log``: frameworks write to the descriptors, past Python's own streams."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def waited() -> dict[str, int]:
    """By thread of this process, the ns that it has stood in a run queue; nothing where the kernel does not keep it."""
    found = {}
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError, IndexError):  # it has ended meanwhile, or there is no such file
            found[thread.name] = int((thread / "schedstat").read_text("ascii").split()[1])
    return found


def memory_peak() -> int:
    """The most memory in bytes that this process held. Not ``ru_maxrss``: that begins with what the parent held."""
    for line in Path("/proc/self/status").read_text("ascii", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
