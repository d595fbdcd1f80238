"""``gateway launch`` as a container runs it: a model server and the gateway, each a process by itself."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.tiny_store import make_store

from gateway.runtime.probe import ProbeFailed, probe

Launch = Callable[..., subprocess.Popen[str]]


def gateway(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "gateway.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **environment}
    )


def attempts(admin: int) -> int:
    """``retries.attempts`` of the gateway whose admin port that is."""
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/config") as answer:
        found: int = json.load(answer)["retries"]["attempts"]
        return found


def successful(metrics: int) -> float:
    """``gateway_config_last_reload_successful`` of the gateway whose metrics port that is."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics") as answer:
        (line,) = re.findall(r"^gateway_config_last_reload_successful (.+)$", answer.read().decode(), re.MULTILINE)
        return float(line)


@pytest.fixture
def ports(free_ports: Callable[[int], list[int]]) -> list[int]:
    return free_ports(7)


@pytest.fixture
def home(tmp_path: Path, ports: list[int]) -> Path:
    """A folder with ``stack.yaml``: an ONNX Runtime server and a gateway."""
    http, grpc, metrics, admin, onnx_http, onnx_grpc, onnx_metrics = ports
    stack: dict[str, Any] = {
        "http": {"port": http},
        "grpc": {"port": grpc},
        "metrics": {"port": metrics},
        "admin": {"port": admin},
        "model_store": str(make_store(tmp_path / "models")),
        "models": ["double"],
        "drain": {"grace": 0},
        "backends": {
            "onnx": {
                "kind": "oip",
                "url": f"http://localhost:{onnx_http}",
                "grpc": f"localhost:{onnx_grpc}",
                "launch": {"device": "cpu", "metrics_port": onnx_metrics},
            }
        },
    }
    (tmp_path / "stack.yaml").write_text(yaml.safe_dump(stack))
    return tmp_path


@pytest.fixture
def launch(home: Path) -> Iterator[Launch]:
    """Launches servers in run directories of their own, and stops them at the end."""
    with contextlib.ExitStack() as stack:

        def start(name: str, **environment: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-P", "-m", "gateway.cli", "launch", name, "-c", "stack.yaml"]
            process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--run-dir", f"run-{name}"],
                cwd=home,
                env={**os.environ, **environment},
                text=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


def test_servers_that_know_one_another_by_their_configuration(
    home: Path, launch: Launch, ports: list[int], wait_until: Callable[..., Any]
) -> None:
    def answers(name: str) -> bool:
        try:
            return probe(name, home / f"run-{name}") == ["double"]
        except ProbeFailed:
            return False

    servers = {name: launch(name) for name in ("onnx", "gateway")}
    wait_until(lambda: answers("onnx"), 60)
    wait_until(lambda: answers("gateway"), 60)
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}
    url = f"http://127.0.0.1:{ports[0]}/v2/models/double/infer"
    with urllib.request.urlopen(url, json.dumps(body).encode()) as answer:
        assert json.load(answer)["outputs"][0]["data"] == [2, 4]
        assert answer.headers["x-gateway-served-by"] == "onnx"
    asked = gateway("probe", "gateway", "--run-dir", "run-gateway", cwd=home)
    assert (asked.returncode, asked.stdout) == (0, "gateway answers for double\n")
    stack = yaml.safe_load((home / "stack.yaml").read_text())
    (home / "new.yaml").write_text(yaml.safe_dump({**stack, "retries": {"attempts": 7}}))
    (home / "new.yaml").replace(home / "stack.yaml")
    wait_until(lambda: attempts(ports[3]) == 7, 30)
    (home / "stack.yaml").write_text(yaml.safe_dump({**stack, "retries": {"attempts": 0}}))
    wait_until(lambda: successful(ports[2]) == 0, 30)
    (home / "stack.yaml").write_text(yaml.safe_dump(stack))
    wait_until(lambda: successful(ports[2]) == 1, 30)
    assert attempts(ports[3]) == 3
    # The process that was launched is the server itself: it gets the signals of the container.
    for process in servers.values():
        process.send_signal(signal.SIGTERM)
    assert [process.wait(30) for process in servers.values()] == [0, 0]
    failed = gateway("probe", "onnx", "--run-dir", "run-onnx", cwd=home)
    assert failed.returncode == 1
    assert "no inference of double" in failed.stderr


def test_the_environment_chooses_the_models(home: Path, launch: Launch) -> None:
    process = launch("onnx", GATEWAY_MODELS="[triple]")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("error: onnx: model 'triple' is not in the store")


def test_a_taken_port_is_named(home: Path, launch: Launch, ports: list[int]) -> None:
    with socket.create_server(("127.0.0.1", ports[4])):
        process = launch("onnx")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith(f"error: onnx: backends.onnx.url: port {ports[4]} is taken by pid {os.getpid()} ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("launch", "nobody", "-c", "stack.yaml"), 2, "error: no server is called 'nobody'; there are gateway, onnx\n"),
        (("launch", "onnx", "-c", "none.yaml"), 2, "error: none.yaml: No such file or directory\n"),
        (("launch", "onnx", "-c", "stack.yaml", "--run-dir", "stack.yaml"), 1, "File exists"),
    ],
)
def test_what_is_wrong_is_one_sentence(home: Path, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = gateway(*arguments, cwd=home)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_prepare_starts_nothing(home: Path) -> None:
    done = gateway("launch", "onnx", "-c", "stack.yaml", "--prepare", cwd=home)
    assert done.returncode == 0, done.stderr
    assert (home / ".gateway" / "onnx.probe" / "double.http").is_file()
