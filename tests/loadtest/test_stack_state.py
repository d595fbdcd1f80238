from __future__ import annotations

import json
from pathlib import Path

import pytest

from loadtest.stack_state import StackError, read_stack, read_token
from loadtest.targets import targets_of


def change(run_directory: Path, **fields: object) -> None:
    path = run_directory / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_every_way_to_every_backend(run_directory: Path) -> None:
    stack = read_stack(run_directory)
    names = [target.name for target in targets_of(stack)]
    assert names == [
        "torchserve gateway HTTP",
        "torchserve gateway gRPC",
        "torchserve direct HTTP",
        "tensorflow gateway HTTP",
        "tensorflow gateway gRPC",
        "tensorflow direct gRPC",
        "onnxruntime gateway HTTP",
        "onnxruntime gateway gRPC",
        "onnxruntime direct HTTP",
        "onnxruntime direct gRPC",
    ]
    assert {target.token for target in targets_of(stack) if target.wire == "torchserve"} == {"secret-token"}
    assert "secret-token" not in repr(targets_of(stack))


def test_backend_that_is_not_ready_is_a_problem_of_its_targets(run_directory: Path) -> None:
    stack = read_stack(run_directory)
    stack.backends["tensorflow"].state = "restarting"
    problems = {target.backend for target in targets_of(stack) if target.problem}
    assert problems == {"tensorflow"}


def test_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="start one with: gateway up"):
        read_stack(tmp_path)


def test_stack_that_died_without_cleaning_up(run_directory: Path) -> None:
    change(run_directory, pid=2**22 + 1)  # above the kernel's largest pid
    with pytest.raises(StackError, match=r"is gone\); start one with: gateway up"):
        read_stack(run_directory)


def test_stack_that_is_still_starting(run_directory: Path) -> None:
    change(run_directory, phase="starting")
    with pytest.raises(StackError, match="the stack is starting"):
        read_stack(run_directory)


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1}', '{"pid": "x"}'])
def test_damaged_state_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(StackError, match=r"state\.json: not a state file"):
        read_stack(tmp_path)


def test_backend_without_a_door_of_its_own_is_reached_through_the_gateway(run_directory: Path) -> None:
    stack = read_stack(run_directory)
    stack.backends["tensorflow"].kind = "embedded"
    stack.backends["onnxruntime"].grpc = None
    direct = [target.name for target in targets_of(stack) if target.via == "direct"]
    assert direct == ["torchserve direct HTTP", "onnxruntime direct HTTP"]


@pytest.mark.parametrize("text", [None, "", "{}", '{"inference": 1}'])
def test_key_file_without_a_token(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "key_file.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(StackError, match="no inference token"):
        read_token(str(path))


def test_no_key_file_no_token() -> None:
    assert read_token(None) == ""
