"""Memory that requests had and freed: kept while it may be needed again, given back when it was not for a while.

To get it anew is dear: the kernel clears it page by page, which with tensors of 10 MB takes longer than all else that a
request costs.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Looks, one a second: what was not needed at so many is given back.
_PATIENCE = 10
# Bytes that stay in any case.
_KEPT = 64 * 2**20
# What has to come of it, in bytes, to be worth another try.
_SUCCESS = 2**20
# Of glibc's mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
# Larger blocks come from the system and go back to it, each by itself; more than this glibc does not allow.
_FROM_THE_HEAP = 32 * 2**20

_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class _Heap(ctypes.Structure):
    """``struct mallinfo2``."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


@dataclass(slots=True, frozen=True)
class Usage:
    """Bytes of the heap that are in use, and that are resident of the whole process."""

    used: int
    resident: int


class SpareMemory:
    """Looks at the ``usage`` of this process; ``trim`` gives back all of the heap that is not in use."""

    def __init__(self, usage: Callable[[], Usage], trim: Callable[[], object]) -> None:
        self._usage = usage
        self._trim = trim
        self._spare: deque[int] = deque(maxlen=_PATIENCE)
        trim()
        self._besides = self._others()

    async def watch(self) -> None:
        """Look once a second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            self.look()

    def look(self) -> None:
        """Give back what was spare at each of the last so many looks; the process stands still for it."""
        now = self._usage()
        self._spare.append(now.resident - now.used - self._besides)
        if len(self._spare) < _PATIENCE or min(self._spare) <= _KEPT:
            return
        self._spare.clear()
        self._trim()
        if self._usage().resident > now.resident - _SUCCESS:
            self._besides = self._others()

    def _others(self) -> int:
        """What is resident and no spare memory either: code, threads, Python's small objects."""
        now = self._usage()
        return now.resident - now.used


def keep_spare_memory() -> SpareMemory | None:
    """Have freed memory stay with this process until the result gives it back; None where the C library cannot."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return None
    libc.mallopt(_MMAP_THRESHOLD, _FROM_THE_HEAP)
    if not hasattr(libc, "mallinfo2"):  # glibc before 2.33
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
        return None
    libc.mallopt(_TRIM_THRESHOLD, _NEVER)
    libc.mallinfo2.restype, libc.malloc_trim.argtypes = _Heap, (ctypes.c_size_t,)

    def usage() -> Usage:
        heap = libc.mallinfo2()
        # What is larger than the heap's largest block is not in the one count but in the other.
        return Usage(heap.uordblks + heap.hblkhd, int(_STATM.read_bytes().split()[1]) * _PAGE)

    return SpareMemory(usage, lambda: libc.malloc_trim(_KEPT))
