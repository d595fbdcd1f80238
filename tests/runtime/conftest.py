from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.manifests import make_manifest

from gateway.runtime.procfs import group_members
from gateway.runtime.state import RunDirectory
from model_store.manifest import Artifact, save_manifest

HERE = Path(__file__).parent


def _wait_until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not true within {seconds} s")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for bound in sockets:
            bound.bind(("127.0.0.1", 0))
        return [bound.getsockname()[1] for bound in sockets]


class StandinStack:
    """A running standin_stack.py, and every process group that it has had."""

    def __init__(self, run_dir: Path, servers: dict[str, list[str]]) -> None:
        self.run = RunDirectory(run_dir)
        self.groups: set[int] = set()
        self.errors = run_dir.with_suffix(".stderr")
        with self.errors.open("wb") as errors, run_dir.with_suffix(".stdout").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "standin_stack.py"), str(run_dir), json.dumps(servers)],
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def state(self) -> dict[str, Any]:
        """The state file's content; empty while there is none."""
        state = self.run.read_state() or {}
        for server in (state.get("gateway", {}), *state.get("backends", {}).values()):
            if server.get("pid"):
                self.groups.add(server["pid"])
        return state

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.errors.read_text()}")
        return self.state().get("phase") == "ready"

    def left(self) -> list[int]:
        """Processes of the servers that still run."""
        return [pid for group in self.groups for pid in group_members(group)]

    def message(self) -> str:
        return self.errors.read_text()


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    """Returns a condition's first true value; fails when it stays false for 20 s."""
    return _wait_until


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    return _free_ports


@pytest.fixture
def standin() -> Path:
    """A model server of a few lines; see the file."""
    return HERE / "standin.py"


@pytest.fixture
def standin_stack(tmp_path: Path) -> Iterator[Callable[..., StandinStack]]:
    """Starts stacks of stand-in servers: name → options of standin.py, ports are added."""
    stacks: list[StandinStack] = []

    def start(**servers: list[str]) -> StandinStack:
        ports = _free_ports(len(servers))
        arguments = {
            name: options if options[:1] and options[0].isdigit() else [str(port), *options]
            for (name, options), port in zip(servers.items(), ports, strict=True)
        }
        stacks.append(StandinStack(tmp_path / f"run{len(stacks)}", arguments))
        return stacks[-1]

    yield start
    for stack in stacks:
        stack.state()
        if stack.process.poll() is None:
            os.killpg(stack.process.pid, signal.SIGKILL)
            stack.process.wait()
        for pid in stack.left():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def model_store(tmp_path: Path) -> Path:
    """A store with the models "digits" (a sample and a picture of it) and "words" (text in, no samples)."""
    root = tmp_path / "models"
    _store_model(root, "digits", ("x", "FP32", (-1, 4)), ("samples/one.npy", "samples/one.png"))
    _store_model(root, "words", ("text", "BYTES", (-1, 2)), ())
    return root


def _store_model(root: Path, name: str, entry: tuple[str, str, tuple[int, ...]], samples: tuple[str, ...]) -> None:
    directory = root / name / "1"
    directory.mkdir(parents=True)
    targets = {"torchserve": f"torchserve/{name}.mar", "tensorflow": "tensorflow", "onnx": "onnx/model.onnx"}
    artifacts = {target: Artifact(path, 0, {}) for target, path in targets.items()}
    manifest = make_manifest(name, [entry], [("y", "FP32", (-1, 2))], artifacts=artifacts, samples=samples)
    save_manifest(directory, manifest)
    for sample in samples:
        (directory / sample).parent.mkdir(exist_ok=True)
        if sample.endswith(".npy"):
            np.save(directory / sample, np.arange(4, dtype=np.float32).reshape(1, 4))
