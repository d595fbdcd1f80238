"""What ends a worker without a parent, even one that hangs."""

from __future__ import annotations

import os
import select
import threading
import time


def end_with_parent(orders: int, patience: float) -> None:
    """End this process ``patience`` seconds after nobody can write to the pipe ``orders`` any more.

    Its event loop drains then and ends; where that hangs, nobody else is left who could end it.
    """
    # A descriptor of its own: the event loop closes the other one.
    watched = os.dup(orders)
    threading.Thread(target=_watch, args=(watched, patience), daemon=True, name="orphan").start()


def _watch(orders: int, patience: float) -> None:
    poll = select.poll()
    poll.register(orders, 0)  # the end is told without being asked for
    poll.poll()
    time.sleep(patience)
    os._exit(1)
