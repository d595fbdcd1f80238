from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loadtest.errors import StackError
from loadtest.targets.stack import WIRES, targets_of
from loadtest.targets.stack_state import BackendState, GatewayState, StackState


@pytest.fixture
def stack(tmp_path: Path) -> StackState:
    keys = tmp_path / "key_file.json"
    keys.write_text(json.dumps({"inference": {"key": "secret-token"}}))

    def backend(kind: str, number: int, **fields: str) -> BackendState:
        url, grpc = f"http://127.0.0.1:{number}0", f"127.0.0.1:{number}1"
        return BackendState(kind, f"some {kind}", "ready", url=url, grpc=grpc, log="b.log", **fields)

    return StackState(
        pid=os.getpid(),
        phase="ready",
        gateway=GatewayState("ready", "127.0.0.1:8000", "127.0.0.1:8001"),
        models=["m"],
        backends={
            "torchserve": backend("torchserve", 808, token_file=str(keys), metrics="127.0.0.1:8082"),
            "tensorflow": backend("tfserving", 850),
            "onnxruntime": backend("oip", 900, metrics="127.0.0.1:9002"),
        },
    )


def test_by_default_the_gateways_protocol_and_each_servers_own(stack: StackState) -> None:
    assert [target.name for target in targets_of(stack)] == [
        "torchserve gateway HTTP",
        "torchserve gateway gRPC",
        "torchserve direct HTTP",
        "torchserve direct gRPC",
        "tensorflow gateway HTTP",
        "tensorflow gateway gRPC",
        "tensorflow direct HTTP",
        "tensorflow direct gRPC",
        "onnxruntime gateway HTTP",
        "onnxruntime gateway gRPC",
        "onnxruntime direct HTTP",
        "onnxruntime direct gRPC",
    ]


def test_every_wire_has_a_name_of_its_own(stack: StackState) -> None:
    names = [target.name for target in targets_of(stack, WIRES)]
    assert [name for name in names if name.startswith("onnxruntime")] == [
        "onnxruntime gateway HTTP",
        "onnxruntime gateway gRPC",
        "onnxruntime gateway HTTP JSON",
        "onnxruntime gateway TFS REST",
        "onnxruntime gateway TFS gRPC",
        "onnxruntime gateway TS HTTP",
        "onnxruntime gateway TS gRPC",
        "onnxruntime direct HTTP",
        "onnxruntime direct gRPC",
        "onnxruntime direct HTTP JSON",
    ]
    assert len(set(names)) == len(names) == 28
    assert max(map(len, names)) <= 30


def test_chosen_wires_leave_out_the_others(stack: StackState) -> None:
    assert {(target.via, target.backend) for target in targets_of(stack, ["tfserving"])} == {
        ("gateway", "torchserve"),
        ("gateway", "tensorflow"),
        ("gateway", "onnxruntime"),
        ("direct", "tensorflow"),
    }
    assert {target.wire for target in targets_of(stack, ["tfserving"])} == {"tfserving"}


def test_addresses(stack: StackState) -> None:
    assert {(target.via, target.protocol, target.address) for target in targets_of(stack)} == {
        ("gateway", "HTTP", "127.0.0.1:8000"),
        ("gateway", "gRPC", "127.0.0.1:8001"),
        ("direct", "HTTP", "127.0.0.1:8080"),
        ("direct", "gRPC", "127.0.0.1:8081"),
        ("direct", "HTTP", "127.0.0.1:8500"),
        ("direct", "gRPC", "127.0.0.1:8501"),
        ("direct", "HTTP", "127.0.0.1:9000"),
        ("direct", "gRPC", "127.0.0.1:9001"),
    }


def test_token_for_the_server_and_hint_for_the_gateway(stack: StackState) -> None:
    for target in targets_of(stack):
        assert target.hint == (target.backend if target.via == "gateway" else "")
        assert target.token == ("secret-token" if target.name.startswith("torchserve direct") else "")
    assert "secret-token" not in repr(targets_of(stack))


def test_where_a_server_tells_its_own_times(stack: StackState) -> None:
    assert {(target.backend, target.metrics) for target in targets_of(stack)} == {
        ("torchserve", "prometheus+http://127.0.0.1:8082/metrics"),
        ("onnxruntime", "oip+http://127.0.0.1:9000"),
        ("tensorflow", ""),
    }


def test_backend_that_is_not_ready_is_a_problem_of_its_targets(stack: StackState) -> None:
    stack.backends["tensorflow"].state = "restarting"
    problems = {target.backend: target.problem for target in targets_of(stack) if target.problem}
    assert problems == {"tensorflow": "backend tensorflow is restarting; see its log b.log"}


def test_backend_without_a_door_of_its_own_is_reached_through_the_gateway(stack: StackState) -> None:
    stack.backends = {
        "inside": BackendState("embedded", "ONNX Runtime", "ready"),
        "http": BackendState("oip", "Triton", "ready", url="http://[::1]:8000"),
        "grpc": BackendState("tfserving", "TF", "ready", grpc="127.0.0.1:8500"),
    }
    direct = {target.name: target.address for target in targets_of(stack) if target.via == "direct"}
    assert direct == {"http direct HTTP": "[::1]:8000", "grpc direct gRPC": "127.0.0.1:8500"}
    assert {target.backend for target in targets_of(stack) if target.via == "gateway"} == {"inside", "http", "grpc"}


def test_token_that_cannot_be_read(stack: StackState) -> None:
    stack.backends["torchserve"].token_file = "/nowhere/key_file.json"
    with pytest.raises(StackError, match=r"/nowhere/key_file\.json: no inference token"):
        targets_of(stack)
