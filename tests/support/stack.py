"""Starting the real stack — TorchServe, TensorFlow, ONNX Runtime and the gateway — and asking it as a user does."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STACK = """
http: {port: 0}
grpc: {port: 0}
metrics: {port: 0}
admin: {port: 0}
model_store: %s
backends:
  torchserve:
    kind: torchserve
    url: http://127.0.0.1:0
    launch: {device: cpu, management_port: 0, metrics_port: 0, grpc_port: 0, grpc_management_port: 0}
  tensorflow: {kind: tfserving, grpc: "127.0.0.1:0", url: "http://127.0.0.1:0", launch: {device: cpu}}
  onnxruntime:
    kind: oip
    url: http://127.0.0.1:0
    grpc: 127.0.0.1:0
    launch: {device: cpu, metrics_port: 0}
"""


class Stack:
    """A running ``gateway up``."""

    def __init__(self, run_dir: Path, process: subprocess.Popen) -> None:
        self.run_dir = run_dir
        self.process = process

    @property
    def state(self) -> dict:
        """What ``gateway status --json`` says now."""
        done = gateway("status", "--json", "--run-dir", str(self.run_dir), check=False)
        return json.loads(done.stdout)

    @property
    def config(self) -> str:
        """Path of the resolved configuration."""
        return str(self.run_dir / "gateway.yaml")


def gateway(*arguments, check=True, **options):
    """Run the command line as a user does; returns the finished process."""
    command = [sys.executable, "-m", "gateway.cli", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"}, **options
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def wait_until(condition, seconds=60.0):
    """Poll until ``condition`` is true; fails when it does not become so in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true in time"
        time.sleep(0.05)


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


@contextlib.contextmanager
def running_stack(store, folder, configuration=STACK, options=()):
    with starting_stack(store, folder, configuration, options) as process:
        run_dir = folder / "run"
        waited = gateway("status", "--wait", "240", "--run-dir", str(run_dir), check=False)
        assert waited.returncode == 0, (folder / "up.log").read_text() + waited.stderr
        yield Stack(run_dir, process)


@contextlib.contextmanager
def starting_stack(store, folder, configuration=STACK, options=()):
    """The process of a `gateway up`, which is told to stop in the end."""
    config = folder / "stack.yaml"
    config.write_text(configuration % store)
    run_dir = folder / "run"
    command = [sys.executable, "-m", "gateway.cli", "up", "--config", str(config), "--run-dir", str(run_dir), *options]
    with (folder / "up.log").open("w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "COLUMNS": "80"},
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - a test run that crashes leaves no servers behind
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
