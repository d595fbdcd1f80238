"""What a ``gateway up`` that was killed leaves: a state file that is no longer true, and servers.

Processes are about to end, since the reaper stops them. Containers go on until somebody removes them.
"""

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

    Returns a sentence that says what was found; empty when there was nothing stale.

    Raises:
        RuntimeFailure: it names containers, and the engine cannot be asked.
    """
    state = run.read_state()
    if state is None or supervisor_alive(state):
        return ""
    stopped = _remove_containers(state["project"]) if "project" in state else _stop_processes(state)
    run.remove_state()
    left = f"; stopped {stopped} server(s) that it had left" if stopped else ""
    return f"a former `gateway up` (pid {state['pid']}) ended without cleaning up{left}"


def _remove_containers(project: str) -> int:
    from gateway.runtime.docker.project import remove_project  # an extra, which local processes do without

    return remove_project(project)


def _stop_processes(state: dict[str, Any]) -> int:
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
    return len(groups)


def _left_groups(state: dict[str, Any]) -> list[int]:
    """Process groups of the servers in ``state`` that still run; the start time tells them from newer processes."""
    return [
        server["pid"]
        for server in _servers(state)
        if server.get("pid") and start_time(server["pid"]) == server.get("start_time")
    ]


def _servers(state: dict[str, Any]) -> list[dict[str, Any]]:
    return [state.get("gateway", {}), *state.get("backends", {}).values()]
