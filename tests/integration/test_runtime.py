"""``gateway up`` with the real TorchServe: Java that starts Python workers, tokens, signals."""

import datetime
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.stack import gateway, wait_until

from gateway.runtime.procfs import group_members

# A restart of TorchServe takes most of a minute on a busy machine.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

STACK = """
http: {port: 0}
grpc: {port: 0}
metrics: {port: 0}
admin: {port: 0}
model_store: %s
models: [digits-mlp]
backends:
  torchserve:
    kind: torchserve
    url: http://127.0.0.1:0
    launch:
      device: cpu
      management_port: 0
      metrics_port: 0
      grpc_port: 0
      grpc_management_port: 0
      ready_timeout: %s
"""


class TorchServeStack:
    """A ``gateway up`` with TorchServe alone behind it, in a process group of its own."""

    def __init__(self, store, folder, ready_timeout=180):
        (folder / "stack.yaml").write_text(STACK % (store, ready_timeout))
        self.run_dir = folder / "run"
        self.output = folder / "up.log"
        command = ["up", "--config", str(folder / "stack.yaml"), "--run-dir", str(self.run_dir)]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *command],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.groups = set()

    @property
    def state(self):
        try:
            state = json.loads((self.run_dir / "state.json").read_text())
        except FileNotFoundError:
            return {}
        self.groups |= {entry["pid"] for entry in (state["gateway"], state["backends"]["torchserve"]) if entry["pid"]}
        return state

    def ready(self):
        assert self.process.poll() is None, self.output.read_text()
        return self.state.get("phase") == "ready"

    def left(self):
        return [pid for group in self.groups for pid in group_members(group)]


@pytest.fixture
def start(model_store_root, tmp_path):
    started = []

    def start(**options):
        started.append(TorchServeStack(model_store_root, tmp_path, **options))
        return started[-1]

    yield start
    for stack in started:
        if stack.process.poll() is None:
            stack.process.kill()
            stack.process.wait()
        wait_until(lambda stack=stack: not stack.left())


def call(url, token=None, body=None):
    request = urllib.request.Request(url, body)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_torchserve_is_started_guarded_restarted_and_stopped(start):
    stack = start()
    wait_until(stack.ready, 120)
    entry = stack.state["backends"]["torchserve"]
    assert entry["server"] == "TorchServe 0.12.0"
    assert len(group_members(entry["pid"])) == 2  # Java and the worker of the one model

    # Token authorisation is on, and its keys outlive any run.
    keys = json.loads(Path(entry["token_file"]).read_text())
    status, answer = call(f"{entry['url']}/ping")
    assert (status, json.loads(answer)["type"]) == (400, "InvalidKeyException")
    assert call(f"{entry['url']}/ping", keys["inference"]["key"])[0] == 200
    expires = datetime.datetime.fromisoformat(keys["inference"]["expiration time"][:19])
    assert expires - datetime.datetime.now() > datetime.timedelta(days=365)
    status, answer = call(f"http://{entry['management']}/models", keys["management"]["key"])
    assert [model["modelName"] for model in json.loads(answer)["models"]] == ["digits-mlp"]
    assert "ts_inference_requests_total" in call(f"http://{entry['metrics']}/metrics")[1]

    # A dead one comes back without the old worker, and the gateway goes on with its new keys.
    os.kill(entry["pid"], signal.SIGKILL)
    wait_until(lambda: stack.state["backends"]["torchserve"]["restarts"] == 1)
    wait_until(lambda: stack.state["backends"]["torchserve"]["state"] == "ready", 120)
    assert group_members(entry["pid"]) == []
    assert json.loads(Path(entry["token_file"]).read_text()) != keys
    inputs = [{"name": "input", "datatype": "FP32", "shape": [1, 784], "data": [0] * 784}]
    url = f"http://{stack.state['gateway']['http']}/v2/models/digits-mlp/infer"
    # Within a health check of the gateway's own.
    wait_until(lambda: call(url, body=json.dumps({"inputs": inputs}).encode())[0] == 200, 10)

    # `gateway down` leaves nothing.
    log = (stack.run_dir / "logs" / "torchserve.log").read_text()
    scratch = Path(next(line for line in log.splitlines() if line.startswith("Temp directory: ")).split(": ")[1])
    assert scratch.is_dir()
    assert gateway("down", "--run-dir", str(stack.run_dir)).returncode == 0
    assert stack.process.wait(10) == 0
    assert stack.left() == []
    assert not scratch.exists()
    assert not (stack.run_dir / "state.json").exists()


@pytest.mark.parametrize("moment", ["while it starts", "when it is ready"])
def test_killing_the_supervisor_leaves_neither_java_nor_python(start, moment):
    stack = start()
    wait_until(lambda: stack.state and len(stack.left()) >= 2 if moment == "while it starts" else stack.ready(), 120)
    assert stack.left()
    stack.process.kill()
    stack.process.wait()
    wait_until(lambda: not stack.left(), 30)
    assert gateway("status", "--run-dir", str(stack.run_dir), check=False).returncode == 1
    down = gateway("down", "--run-dir", str(stack.run_dir))
    assert "ended without cleaning up" in down.stderr


def test_a_backend_that_is_not_ready_in_time_ends_the_start(start):
    stack = start(ready_timeout=0.3)
    assert stack.process.wait(60) == 1
    assert stack.left() == []
    said = stack.output.read_text()
    assert "torchserve: not ready within 0.3 s, no first inference of digits-mlp" in said
    assert "logs/torchserve.log" in said
    status = gateway("status", "--run-dir", str(stack.run_dir), check=False)
    assert status.returncode == 1
    assert "not ready within 0.3 s" in status.stderr
