"""The process's memory: the start's stays, a request's is kept for the next one, what was given up goes back."""

from __future__ import annotations

import ctypes
import gc

# Of glibc's mallopt(3). A request with large tensors frees some megabytes at the end of the heap, which by default go
# back to the system at once: the next one gets them page by page, and the kernel clears each. That took half of the
# CPU time of 400 KB. These are the bounds that glibc itself comes to after the first 32 MiB.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT = 64 * 2**20
_FROM_THE_HEAP = 32 * 2**20


def settle_memory() -> None:
    """Call once, when the process has started and before it serves."""
    # What the start has made stays for ever: frameworks leave hundreds of thousands of objects that every full
    # collection would walk while requests wait. What a request makes has no cycles and is freed by its last reference
    # (tests/test_garbage.py), so that the collector hardly ever comes.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_MMAP_THRESHOLD, _FROM_THE_HEAP)


def give_back_memory() -> None:
    """Free what only cycles hold: engines of some frameworks are such, and what the start made is never looked at."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
