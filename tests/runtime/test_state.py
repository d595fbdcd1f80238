from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.procfs import start_time
from gateway.runtime.stale import clear_stale
from gateway.runtime.state import RunDirectory, supervisor_alive

SLEEPER = (sys.executable, "-S", "-c", "import signal; signal.pause()")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    return directory


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def state_of(pid: int, started: int | None, **backends: dict[str, Any]) -> dict[str, Any]:
    return {"pid": pid, "start_time": started, "phase": "ready", "gateway": {}, "backends": backends}


def test_the_state_is_read_back(run: RunDirectory) -> None:
    state = state_of(os.getpid(), start_time(os.getpid()))
    run.write_state(state)
    assert run.read_state() == state
    assert json.loads(run.state_file.read_text()) == state
    assert {path.name for path in run.path.iterdir()} == {"logs", "state.json"}  # no temporary file is left
    run.remove_state()
    assert run.read_state() is None


def test_only_this_user_may_look_into_it(run: RunDirectory) -> None:
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null"])
def test_a_damaged_state_file_is_none(run: RunDirectory, content: str) -> None:
    run.state_file.write_text(content)
    assert run.read_state() is None


def test_a_pid_alone_does_not_make_a_supervisor() -> None:
    own = start_time(os.getpid())
    assert own is not None
    assert supervisor_alive(state_of(os.getpid(), own))
    assert not supervisor_alive(state_of(os.getpid(), own - 1))  # the pid was handed out again
    assert not supervisor_alive(state_of(dead_pid(), own))


def test_the_lock_is_held_once(run: RunDirectory) -> None:
    with run.lock():
        run.write_state(state_of(4711, 1))
        with pytest.raises(RuntimeFailure, match=r"another `gateway up` \(pid 4711\) already runs in"):
            run.lock()
    run.lock().close()


def test_a_new_run_keeps_the_log_of_the_one_before(run: RunDirectory) -> None:
    assert run.rotate_log("alpha") == run.log("alpha")
    run.log("alpha").write_text("first")
    run.rotate_log("alpha")
    assert not run.log("alpha").exists()
    assert (run.logs / "alpha.log.1").read_text() == "first"


def test_the_reason_of_a_failure_is_kept_until_the_next_run(run: RunDirectory) -> None:
    assert run.read_failure() == ""
    run.note_failure("port 8000 is taken")
    assert run.read_failure() == "port 8000 is taken"
    run.note_failure(None)
    assert run.read_failure() == ""


def test_paths_are_shown_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = RunDirectory(Path(".gateway"))
    assert run.shown(run.log("alpha")) == Path(".gateway/logs/alpha.log")
    assert run.shown(Path("/elsewhere/file")) == Path("/elsewhere/file")


def test_nothing_stale_is_no_news(run: RunDirectory) -> None:
    assert clear_stale(run) == ""
    run.write_state(state_of(os.getpid(), start_time(os.getpid())))
    assert clear_stale(run) == ""
    assert run.read_state() is not None


def test_a_stale_state_goes_with_the_servers_it_names(run: RunDirectory) -> None:
    scratch = run.path / "scratch"
    scratch.mkdir()
    left = subprocess.Popen(SLEEPER, start_new_session=True)
    bystander = subprocess.Popen(SLEEPER, start_new_session=True)
    try:
        run.write_state(
            state_of(
                dead := dead_pid(),
                1,
                alpha={"pid": left.pid, "start_time": start_time(left.pid), "scratch": str(scratch)},
                beta={"pid": bystander.pid, "start_time": 1},  # that server ended; its pid belongs to another
                gamma={"pid": None, "start_time": None},
            )
        )
        assert clear_stale(run) == (
            f"a former `gateway up` (pid {dead}) ended without cleaning up; stopped 1 server(s) that it had left"
        )
        assert run.read_state() is None
        assert not scratch.exists()
        assert left.wait(timeout=10) < 0
        assert bystander.poll() is None
    finally:
        for process in (left, bystander):
            process.kill()
            process.wait()
