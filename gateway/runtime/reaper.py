"""The process that outlives the supervisor just long enough to stop what it left behind.

The supervisor starts it first and holds the other end of its standard input. ``+GROUP`` there names a process
group that started, ``-GROUP`` one that ended. The end of input means that the supervisor is gone, however it
went; whatever groups are left get SIGTERM, then SIGKILL.

It runs as a plain file, isolated and without site-packages, so that it starts fast and nothing can break it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time

GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.05


def main() -> None:
    """Follow the groups on standard input until it ends, then stop the rest."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    groups = follow_groups()
    if groups:
        with contextlib.suppress(OSError):  # on a full disk there is no log, and all the more to stop
            print(f"the supervisor is gone; stopping process groups {sorted(groups)}", file=sys.stderr, flush=True)  # noqa: T201
        stop_groups(groups)


def follow_groups() -> set[int]:
    """The groups that are left when the input ends; a line that was cut short is dropped."""
    groups: set[int] = set()
    for line in sys.stdin:
        sign, number = line[:1], line[1:-1]
        if not line.endswith("\n") or not number.isdigit():
            continue
        if sign == "+":
            groups.add(int(number))
        else:
            groups.discard(int(number))
    return groups


def stop_groups(groups: set[int]) -> None:
    """SIGTERM to all, SIGKILL to those that are still there ``GRACE_SECONDS`` later."""
    deadline = time.monotonic() + GRACE_SECONDS
    left = {group for group in groups if _signal(group, signal.SIGTERM)}
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        left = {group for group in left if _signal(group, 0)}
    for group in left:
        _signal(group, signal.SIGKILL)


def _signal(group: int, number: int) -> bool:
    """Whether the group was there to take the signal."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
