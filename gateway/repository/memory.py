"""The garbage collector: it need not look at what the start has made, until that is given up."""

from __future__ import annotations

import gc


def settle_memory() -> None:
    """Call once, when the process has started and before it serves."""
    # What the start has made stays for ever: frameworks leave hundreds of thousands of objects that every full
    # collection would walk while requests wait. What a request makes has no cycles and is freed by its last reference
    # (tests/test_garbage.py), so that the collector hardly ever comes.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def give_back_memory() -> None:
    """Free what only cycles hold: engines of some frameworks are such, and what the start made is never looked at."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
