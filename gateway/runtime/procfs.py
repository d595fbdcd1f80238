"""What /proc tells about processes: identity, members of a group, who listens on a port."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_LISTEN = "0A"
_DEAD = "ZX"


@dataclass(slots=True, frozen=True)
class ProcessStat:
    """The fields of /proc/PID/stat in use here; ``start_time`` is in clock ticks since boot."""

    pid: int
    state: str
    group: int
    start_time: int


def read_stat(pid: int) -> ProcessStat | None:
    """The process, or None when there is none (a zombie counts as a process)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (OSError, ValueError):
        return None
    # The command stands in parentheses and may itself hold spaces and parentheses.
    fields = text[text.rindex(")") + 2 :].split()
    return ProcessStat(pid=pid, state=fields[0], group=int(fields[2]), start_time=int(fields[19]))


def start_time(pid: int) -> int | None:
    """When the running process ``pid`` started, in kernel ticks; None when it is gone or a zombie.

    The pair of pid and start time names a process for good: the kernel hands out pids again.
    """
    stat = read_stat(pid)
    return stat.start_time if stat is not None and stat.state not in _DEAD else None


def group_members(group: int) -> list[int]:
    """Pids of the running processes of process group ``group``; zombies do not count."""
    stats = (read_stat(pid) for pid in _pids())
    return [stat.pid for stat in stats if stat is not None and stat.group == group and stat.state not in _DEAD]


def port_owner(port: int) -> str:
    """Who listens on TCP ``port``, as ``pid 12 (python -m http.server)``; empty when /proc does not tell."""
    inodes = set(_listening_inodes(port))
    for pid in _pids() if inodes else ():
        if not inodes.isdisjoint(_socket_inodes(pid)):
            return f"pid {pid} ({_command(pid)})"
    return ""


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208 (names alone, many of them)


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _socket_inodes(pid: int) -> Iterator[str]:
    try:
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                yield target[len("socket:[") : -1]
    except OSError:
        return  # gone meanwhile, or not ours to look into


def _command(pid: int) -> str:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return "unknown command"
    command = " ".join(raw.decode(errors="replace").split("\0")).strip()
    return command if len(command) <= 60 else command[:59] + "…"
