from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loadtest.errors import StackError
from loadtest.targets.stack_state import read_stack, read_token


def state(folder: Path, **fields: object) -> Path:
    """``folder`` with the state of a stack that this process runs, as far as ``fields`` say nothing else."""
    backend = {"kind": "oip", "server": "S 1", "state": "ready", "url": "http://h:1", "restarts": 0}
    document = {
        "pid": os.getpid(),
        "phase": "ready",
        "gateway": {"state": "ready", "http": "h:2", "grpc": "h:3", "admin": "h:4"},
        "models": ["m"],
        "backends": {"b": backend},
    }
    (folder / "state.json").write_text(json.dumps(document | fields))
    return folder


def test_running_stack(tmp_path: Path) -> None:
    stack = read_stack(state(tmp_path))
    assert (stack.models, stack.gateway.http, stack.gateway.grpc) == (["m"], "h:2", "h:3")
    backend = stack.backends["b"]
    assert (backend.url, backend.grpc, backend.metrics, backend.token_file) == ("http://h:1", None, None, None)


def test_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="start one with: gateway up"):
        read_stack(tmp_path)


def test_stack_that_died_without_cleaning_up(tmp_path: Path) -> None:
    state(tmp_path, pid=2**22 + 1)  # above the kernel's largest pid
    with pytest.raises(StackError, match=r"is gone\); start one with: gateway up"):
        read_stack(tmp_path)


def test_stack_that_is_still_starting(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="the stack is starting"):
        read_stack(state(tmp_path, phase="starting"))


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', '{"pid": "x"}'])
def test_damaged_state_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(StackError, match=r"state\.json: not a state file"):
        read_stack(tmp_path)


@pytest.mark.parametrize("text", [None, "", "{}", '{"inference": 1}'])
def test_key_file_without_a_token(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "key_file.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StackError, match="no inference token"):
        read_token(str(path))


def test_no_key_file_no_token() -> None:
    assert read_token(None) == ""
