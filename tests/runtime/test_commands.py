from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from gateway.runtime import commands
from gateway.runtime.commands import register
from gateway.runtime.procfs import start_time
from gateway.runtime.state import RunDirectory

Gateway = Callable[..., Result]


@pytest.fixture
def gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    """Runs `gateway` with arguments in an empty directory."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich")
    register(app)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, env={"COLUMNS": "80", "TERM": "dumb"})

    return run


@pytest.fixture
def run_directory(gateway: Gateway) -> RunDirectory:
    directory = RunDirectory(Path(".gateway"))
    directory.create()
    return directory


def entry(state: str, **facts: Any) -> dict[str, Any]:
    return {"server": "stand-in 1.0", "state": state, "pid": 1, "start_time": 1, "restarts": 0, **facts}


def state_of(process: int, torchserve: str = "ready", phase: str = "ready") -> dict[str, Any]:
    return {
        "pid": process,
        "start_time": start_time(process),
        "phase": phase,
        "gateway": entry("ready", http="127.0.0.1:8000", grpc="127.0.0.1:8001"),
        "logs": ".gateway/logs/NAME.log",
        "models": ["digits"],
        "backends": {"torchserve": entry(torchserve, url="http://127.0.0.1:8080", device="cpu", threads=2)},
    }


def test_status_and_down_of_nothing(gateway: Gateway) -> None:
    result = gateway("status")
    assert result.exit_code == 1
    assert result.stderr == "error: nothing runs in .gateway\n"
    assert gateway("down").exit_code == 0


def test_status_tells_why_the_last_start_failed(gateway: Gateway, run_directory: RunDirectory) -> None:
    run_directory.note_failure("http.port: port 8000 is taken")
    result = gateway("status")
    assert result.exit_code == 1
    assert "http.port: port 8000 is taken" in result.stderr


def test_status_of_a_ready_stack_fits_eighty_columns(gateway: Gateway, run_directory: RunDirectory) -> None:
    run_directory.write_state(state_of(os.getpid()))
    result = gateway("status")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[:2] for line in lines[1:5:2]] == [["gateway", "ready"], ["torchserve", "ready"]]
    assert "127.0.0.1:8080" in result.stdout
    assert "2 threads" in result.stdout
    assert ".gateway/logs/NAME.log" in result.stdout


def test_status_is_one_unless_all_is_ready(gateway: Gateway, run_directory: RunDirectory) -> None:
    run_directory.write_state(state_of(os.getpid(), torchserve="restarting"))
    result = gateway("status")
    assert result.exit_code == 1
    assert result.stderr == "not ready: torchserve is restarting\n"
    run_directory.write_state(state_of(os.getpid(), phase="stopping"))
    assert gateway("status").stderr == "not ready: stopping\n"


def test_status_as_json_is_the_state_file(gateway: Gateway, run_directory: RunDirectory) -> None:
    state = state_of(os.getpid())
    run_directory.write_state(state)
    assert json.loads(gateway("status", "--json").stdout) == state


def test_status_ignores_the_state_of_a_dead_supervisor(gateway: Gateway, run_directory: RunDirectory) -> None:
    run_directory.write_state({**state_of(os.getpid()), "start_time": 1})
    assert gateway("status").exit_code == 1


def test_status_waits_until_all_is_ready(
    gateway: Gateway, run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = [state_of(os.getpid(), phase="starting"), state_of(os.getpid(), "starting"), state_of(os.getpid())]
    monkeypatch.setattr(commands.time, "sleep", lambda _: run_directory.write_state(states.pop(0)))
    assert gateway("status", "--wait", "60").exit_code == 0
    assert states == []


def test_status_stops_waiting_when_the_supervisor_is_gone(
    gateway: Gateway, run_directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: float) -> None:
        run_directory.note_failure("torchserve: ended before it was ready")
        run_directory.remove_state()

    run_directory.write_state(state_of(os.getpid(), "starting", phase="starting"))
    monkeypatch.setattr(commands.time, "sleep", fails)
    result = gateway("status", "--wait", "600")
    assert result.exit_code == 1
    assert "torchserve: ended before it was ready" in result.stderr


def test_down_stops_the_supervisor_and_waits(gateway: Gateway, run_directory: RunDirectory) -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    run_directory.write_state(state_of(process.pid))
    result = gateway("down")
    assert result.exit_code == 0
    assert result.stderr == f"stopped `gateway up` (pid {process.pid})\n"
    assert process.wait(timeout=1) == -signal.SIGTERM


def test_down_cleans_up_after_a_killed_supervisor(gateway: Gateway, run_directory: RunDirectory) -> None:
    run_directory.write_state({**state_of(os.getpid()), "start_time": 1})
    result = gateway("down")
    assert result.exit_code == 0
    assert "ended without cleaning up" in result.stderr
    assert run_directory.read_state() is None


def test_up_with_a_wrong_configuration_is_exit_code_two(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("backends: {a: {kind: nonsense}}")
    result = gateway("up", "--config", "bad.yaml")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: bad.yaml: backends.a")
    assert not (tmp_path / ".gateway").exists()


def test_up_with_an_unknown_backend_is_exit_code_two(gateway: Gateway) -> None:
    result = gateway("up", "--backends", "torchserve, triton")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: --backends: no backend is called 'triton'; there are torchserve, tensorflow, onnxruntime\n"
    )


def test_up_without_a_model_is_exit_code_one_and_noted(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(
        "{http: {port: 0}, grpc: {port: 0}, metrics: {port: 0}, admin: {port: 0}, backends: {}}"
    )
    result = gateway("up", "--config", "stack.yaml")
    assert result.exit_code == 1
    assert "is empty; build a model with" in result.stderr
    assert "is empty; build a model with" in gateway("status").stderr


def test_up_where_no_directory_can_be_is_exit_code_one(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = gateway("up", "--run-dir", "file")
    assert result.exit_code == 1
    assert "file: File exists" in result.stderr


def test_up_on_a_full_disk_names_the_directory(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(commands, "run_stack", full)
    result = gateway("up", "--run-dir", "run")
    assert (result.exit_code, result.stderr) == (1, "error: run: No space left on device\n")


@pytest.mark.parametrize("command", ["up", "down", "status"])
def test_help_shows_examples(gateway: Gateway, command: str) -> None:
    result = gateway(command, "--help")
    assert f"gateway {command} --" in result.stdout
