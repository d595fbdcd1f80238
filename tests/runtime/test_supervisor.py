"""Whole stacks of stand-in servers: real processes and real signals."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.runtime.procfs import group_members

Start = Callable[..., Any]
Wait = Callable[..., Any]


def test_it_starts_backends_before_the_gateway_and_tells_the_state(standin_stack: Start, wait_until: Wait) -> None:
    stack = standin_stack(gateway=[], alpha=["worker"], beta=[])
    wait_until(stack.ready)
    state = stack.state()
    assert state["pid"] == stack.process.pid
    assert state["models"] == ["digits"]
    assert {name: entry["state"] for name, entry in state["backends"].items()} == {"alpha": "ready", "beta": "ready"}
    assert state["gateway"]["restarts"] == 0
    assert Path(state["gateway"]["log"]).is_file()
    told = re.findall(r"^(\w+): ready after", stack.message(), re.MULTILINE)
    assert sorted(told[:2]) == ["alpha", "beta"]
    assert told[2] == "gateway"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_is_left_however_it_ends(standin_stack: Start, wait_until: Wait, number: signal.Signals) -> None:
    stack = standin_stack(gateway=[], alpha=["worker"])
    wait_until(stack.ready)
    assert len(stack.left()) == 3
    stack.process.send_signal(number)
    status = stack.process.wait(timeout=20)
    wait_until(lambda: not stack.left())
    if number == signal.SIGKILL:
        assert "stopping process groups" in stack.run.log("reaper").read_text()
    else:
        assert status == 0
        assert stack.run.read_state() is None


def test_no_process_is_left_when_it_is_killed_while_starting(
    standin_stack: Start, wait_until: Wait, tmp_path: Path
) -> None:
    stack = standin_stack(gateway=[], alpha=["worker", f"late={tmp_path / 'never'}"])
    wait_until(lambda: stack.state() and len(stack.left()) == 2)
    stack.process.send_signal(signal.SIGKILL)
    stack.process.wait()
    wait_until(lambda: not stack.left())


def test_ctrl_c_while_starting_stops_everything(standin_stack: Start, wait_until: Wait, tmp_path: Path) -> None:
    stack = standin_stack(gateway=[], alpha=["worker", f"late={tmp_path / 'never'}"])
    wait_until(lambda: stack.state() and len(stack.left()) == 2)
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(timeout=20) == 0
    assert not stack.left()


def test_a_second_ctrl_c_skips_the_waiting(standin_stack: Start, wait_until: Wait) -> None:
    stack = standin_stack(gateway=["stubborn"], alpha=[])  # would take the 10 s of its stop_timeout
    wait_until(stack.ready)
    stack.process.send_signal(signal.SIGINT)
    wait_until(lambda: stack.state().get("phase") == "stopping")
    assert stack.process.poll() is None
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(timeout=5) == 0
    assert not stack.left()


def test_a_dead_backend_is_restarted_without_its_old_workers(standin_stack: Start, wait_until: Wait) -> None:
    stack = standin_stack(gateway=[], alpha=["worker"])
    wait_until(stack.ready)
    before = stack.state()["backends"]["alpha"]["pid"]
    os.kill(before, signal.SIGKILL)

    def restarted() -> bool:
        entry = stack.state()["backends"]["alpha"]
        return bool(entry["state"] == "ready" and entry["restarts"] == 1)

    wait_until(restarted)
    assert not group_members(before)
    assert stack.state()["backends"]["alpha"]["pid"] != before
    assert re.search(
        r"^alpha: killed by SIGKILL; restart in 0\.5 s; log: \S+alpha\.log$", stack.message(), re.MULTILINE
    )


def test_a_killed_reaper_is_replaced(standin_stack: Start, wait_until: Wait) -> None:
    stack = standin_stack(gateway=[], alpha=["worker"])
    wait_until(stack.ready)
    (reaper,) = wait_until(lambda: _reapers(stack.process.pid))
    os.kill(reaper, signal.SIGKILL)
    os.kill(stack.state()["backends"]["alpha"]["pid"], signal.SIGKILL)  # the next thing that it is told about
    wait_until(lambda: stack.state()["backends"]["alpha"]["restarts"] == 1 and stack.ready())
    wait_until(lambda: _reapers(stack.process.pid) not in ([], [reaper]))
    stack.process.send_signal(signal.SIGKILL)
    stack.process.wait()
    wait_until(lambda: not stack.left())
    assert "stopping process groups" in stack.run.log("reaper").read_text()


def test_the_kernel_ends_the_servers_when_the_reaper_is_killed_too(standin_stack: Start, wait_until: Wait) -> None:
    stack = standin_stack(gateway=[], alpha=[])
    wait_until(stack.ready)
    (reaper,) = _reapers(stack.process.pid)
    os.kill(reaper, signal.SIGKILL)
    stack.process.send_signal(signal.SIGKILL)
    stack.process.wait()
    wait_until(lambda: not stack.left())


def test_a_backend_that_ends_at_once_fails_the_start(standin_stack: Start, free_ports: Callable[..., Any]) -> None:
    stack = standin_stack(gateway=[], alpha=["worker"], beta=["70000"])  # no such port: it crashes
    assert stack.process.wait(timeout=20) == 1
    stack.state()
    assert not stack.left()
    message = stack.message()
    assert "beta: ended before it was ready: exit code 1" in message
    assert "OverflowError" in message  # the end of its log
    assert "beta.log" in message
    assert stack.run.read_state() is None


def test_a_second_one_on_the_same_run_directory_is_refused(standin_stack: Start, wait_until: Wait) -> None:
    stack = standin_stack(gateway=[], alpha=[])
    wait_until(stack.ready)
    with pytest.raises(Exception, match=f"another `gateway up` \\(pid {stack.process.pid}\\) already runs"):
        stack.run.lock()


def _reapers(supervisor: int) -> list[int]:
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    commands = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    return [pid for pid, command in commands.items() if "reaper.py" in command]
