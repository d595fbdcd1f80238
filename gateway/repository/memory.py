"""Memory of what was given up, back to the system."""

from __future__ import annotations

import gc


def give_back_memory() -> None:
    """Free what only cycles hold: engines of some frameworks are such, and what the start made is never looked at."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
