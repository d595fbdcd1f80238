"""The reaper alone, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.runtime import reaper
from gateway.runtime.procfs import group_members

SLEEPER = "import signal; print('up', flush=True); signal.pause()"
FAMILY = (
    "import subprocess, sys; "
    f"worker = subprocess.Popen([sys.executable, '-S', '-c', {SLEEPER!r}], stdout=subprocess.PIPE); "
    f"worker.stdout.readline(); {SLEEPER}"
)
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"


@pytest.fixture
def spawn() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts Python code as the leader of a group of its own, once it has said that it is up."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def start_reaper() -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(reaper.__file__))],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_it_stops_a_group_with_its_workers(spawn: Any, start_reaper: Any, wait_until: Any) -> None:
    family = spawn(FAMILY)
    assert len(group_members(family.pid)) == 2
    process = start_reaper()
    order(process, f"+{family.pid}\n")
    assert family.wait(timeout=20) == -signal.SIGTERM
    wait_until(lambda: not group_members(family.pid))
    assert process.communicate(timeout=20)[1] == (f"the supervisor is gone; stopping process groups [{family.pid}]\n")


def test_a_full_disk_keeps_it_from_nothing(spawn: Any) -> None:
    family = spawn(FAMILY)
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-I", "-S", str(Path(reaper.__file__))]
        subprocess.run(command, input=f"+{family.pid}\n", stderr=full, text=True, timeout=20, check=False)
    assert family.wait(timeout=20) == -signal.SIGTERM


def test_it_kills_what_ignores_sigterm(spawn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "GRACE_SECONDS", 0.1)
    stubborn = spawn(STUBBORN)
    reaper.stop_groups({stubborn.pid})
    assert stubborn.wait(timeout=20) == -signal.SIGKILL


def test_it_leaves_released_groups_alone(spawn: Any, start_reaper: Any) -> None:
    kept, released = spawn(SLEEPER), spawn(SLEEPER)
    process = start_reaper()
    order(process, f"+{kept.pid}\n+{released.pid}\n-{released.pid}\n")
    assert kept.wait(timeout=20) == -signal.SIGTERM
    process.communicate(timeout=20)
    assert released.poll() is None


def test_a_line_that_was_cut_short_is_no_order(spawn: Any, start_reaper: Any) -> None:
    bystander = spawn(SLEEPER)
    process = start_reaper()
    order(process, f"+{bystander.pid}")
    assert process.communicate(timeout=20)[1] == ""
    assert bystander.poll() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ignores_the_signals_that_end_the_supervisor(
    spawn: Any, start_reaper: Any, wait_until: Any, number: signal.Signals
) -> None:
    guarded, process = spawn(SLEEPER), start_reaper()
    mask = 1 << (number - 1)
    wait_until(lambda: int(_status(process.pid, "SigIgn"), 16) & mask)
    process.send_signal(number)
    order(process, f"+{guarded.pid}\n")
    assert guarded.wait(timeout=20) == -signal.SIGTERM
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_nothing_to_do_ends_it_silently(start_reaper: Any) -> None:
    process = start_reaper()
    order(process, "")
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 0


def order(process: subprocess.Popen[str], lines: str) -> None:
    """Write to the reaper and end its input, as a supervisor that dies."""
    assert process.stdin is not None
    process.stdin.write(lines)
    process.stdin.close()
    process.stdin = None


def _status(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))
