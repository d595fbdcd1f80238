"""What a ``gateway up`` that was killed leaves: a state file that is no longer true, and servers about to end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from typing import Any

from gateway.runtime.procfs import group_members, start_time
from gateway.runtime.state import RunDirectory, supervisor_alive

_GONE_SECONDS = 10.0
_POLL_SECONDS = 0.05


def clear_stale(run: RunDirectory) -> str:
    """Remove a state file whose supervisor is gone, and the servers and scratch directories that it names.

    The reaper is stopping those already; this makes sure that it is done. Returns a sentence that says what was
    found; empty when there was nothing stale.
    """
    state = run.read_state()
    if state is None or supervisor_alive(state):
        return ""
    groups = _left_groups(state)
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_SECONDS
    while any(group_members(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    for server in _servers(state):
        if "scratch" in server:
            shutil.rmtree(server["scratch"], ignore_errors=True)
    run.remove_state()
    left = f"; stopped {len(groups)} server(s) that it had left" if groups else ""
    return f"a former `gateway up` (pid {state['pid']}) ended without cleaning up{left}"


def _left_groups(state: dict[str, Any]) -> list[int]:
    """Process groups of the servers in ``state`` that still run; the start time tells them from newer processes."""
    return [
        server["pid"]
        for server in _servers(state)
        if server.get("pid") and start_time(server["pid"]) == server.get("start_time")
    ]


def _servers(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [state.get("gateway", {}), *state.get("backends", {}).values()]
