"""What a server costs, from /proc: CPU time and memory of a process and of all that it has started."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_RESET_PEAK = "5"  # see proc(5), clear_refs


def family(pid: int, proc: Path = PROC) -> list[int]:
    """``pid`` and its living descendants."""
    children: dict[int, list[int]] = {}
    for path in proc.iterdir():
        if path.name.isdigit() and (fields := stat_fields(path)):
            children.setdefault(int(fields[1]), []).append(int(path.name))
    found = [pid]
    for member in found:
        found += children.get(member, ())
    return found


def cpu_times(pids: Iterable[int], proc: Path = PROC) -> tuple[float, float]:
    """Seconds in user and in kernel mode of ``pids`` since they began; one that is gone counts nothing.

    To a tick of the kernel's clock (10 ms), so differences are worth something over many requests.
    """
    user = kernel = 0
    for pid in pids:
        if fields := stat_fields(proc / str(pid)):
            user += int(fields[11])
            kernel += int(fields[12])
    return user / _TICKS, kernel / _TICKS


def cpu_seconds(pids: Iterable[int], proc: Path = PROC) -> float:
    """Both of ``cpu_times`` together."""
    return sum(cpu_times(pids, proc))


def memory(pids: Iterable[int], proc: Path = PROC) -> tuple[int, int]:
    """Resident bytes of ``pids`` now (VmRSS) and at most since ``reset_peak`` (VmHWM), summed.

    What processes share is counted in each.
    """
    now = peak = 0
    for pid in pids:
        sizes = _status_sizes(proc / str(pid))
        now += sizes.get("VmRSS", 0)
        peak += sizes.get("VmHWM", 0)
    return now, peak


def reset_peak(pids: Iterable[int], proc: Path = PROC) -> None:
    """Let the greatest resident memory of ``pids`` count from now on, where the kernel lets us."""
    for pid in pids:
        try:
            (proc / str(pid) / "clear_refs").write_text(_RESET_PEAK, encoding="ascii")
        except OSError:
            continue  # gone, or another user's: its peak is then that of its life


def stat_fields(process: Path) -> list[str]:
    """The fields of ``stat`` from the state on; empty when the process is gone."""
    try:
        text = (process / "stat").read_text(errors="replace")
    except OSError:
        return []
    # The command stands in parentheses and may itself hold spaces and parentheses.
    return text[text.rindex(")") + 2 :].split()


def _status_sizes(process: Path) -> dict[str, int]:
    try:
        lines = (process / "status").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":")[::2] for line in lines)
    return {name: int(value.split()[0]) * 1024 for name, value in pairs if value.endswith(" kB")}
