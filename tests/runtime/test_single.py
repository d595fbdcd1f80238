from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.config.file import ConfigError, load_config
from gateway.config.settings import GatewayConfig
from gateway.runtime import single
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch
from gateway.runtime.probe import saved_in
from gateway.runtime.saved_requests import save_requests
from gateway.runtime.single import plan_server
from gateway.runtime.state import RunDirectory

Ports = Callable[[int], list[int]]
Plan = Callable[..., Launch]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "run")
    directory.create()
    return directory


@pytest.fixture
def stack(model_store: Path, free_ports: Ports) -> dict[str, Any]:
    """The configuration of a stack whose servers know one another by names that this machine cannot resolve."""
    ports = iter(free_ports(11))
    return {
        "http": {"port": next(ports)},
        "grpc": {"port": next(ports)},
        "metrics": {"port": next(ports)},
        "admin": {"port": next(ports)},
        "model_store": model_store,
        "backends": {
            "onnx": {
                "kind": "oip",
                "url": f"http://onnx.example:{next(ports)}",
                "grpc": f"onnx.example:{next(ports)}",
                "launch": {"metrics_port": next(ports)},
            },
            "ts": {
                "kind": "torchserve",
                "url": f"http://ts.example:{next(ports)}",
                "launch": {"authorization": False, "grpc_port": next(ports), "management_port": next(ports)},
            },
            "tf": {
                "kind": "tfserving",
                "grpc": f"tf.example:{next(ports)}",
                "url": "http://tf.example:18501",
                "launch": {},
            },
            "remote": {"kind": "oip", "url": "http://remote.example:9000"},
        },
    }


@pytest.fixture
def plan(stack: dict[str, Any], run: RunDirectory) -> Plan:
    def make(name: str, **options: Any) -> Launch:
        return plan_server(GatewayConfig.model_validate(stack), name, run, **options)

    return make


def test_a_server_listens_here_on_the_ports_that_the_others_call(
    stack: dict[str, Any], plan: Plan, run: RunDirectory
) -> None:
    launch = plan("onnx", host="0.0.0.0")
    server = load_config(run.path / "onnx.yaml", {})
    told = stack["backends"]["onnx"]
    assert f"http://onnx.example:{server.http.port}" == told["url"]
    assert f"onnx.example:{server.grpc.port}" == told["grpc"]
    assert server.metrics.port == told["launch"]["metrics_port"]
    assert {server.http.host, server.grpc.host, server.metrics.host} == {"0.0.0.0"}
    request = launch.probe.request(launch.probe.inputs[0])
    assert request.url == f"http://127.0.0.1:{server.http.port}/v2/models/digits/infer"


def test_the_gateway_calls_the_others_where_they_are(stack: dict[str, Any], plan: Plan, run: RunDirectory) -> None:
    plan("gateway", host="0.0.0.0")
    written = load_config(run.path / "gateway.yaml", {})
    assert {written.http.host, written.grpc.host, written.metrics.host} == {"0.0.0.0"}
    assert written.admin is not None
    assert written.admin.host == "127.0.0.1"
    onnx, ts = written.backends["onnx"], written.backends["ts"]
    assert onnx.kind == "oip"
    assert onnx.url == stack["backends"]["onnx"]["url"]
    assert ts.kind == "torchserve"
    assert ts.grpc == f"ts.example:{stack['backends']['ts']['launch']['grpc_port']}"
    assert (ts.management, ts.token_file) == (None, None)  # neither can be reached from here


def test_without_authorization_management_stays_on_loopback(plan: Plan, run: RunDirectory) -> None:
    launch = plan("ts", host="0.0.0.0")
    lines = (run.path / "ts" / "config.properties").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    assert settings["disable_token_authorization"] == "true"
    assert settings["inference_address"].startswith("http://0.0.0.0:")
    assert settings["management_address"].startswith("http://127.0.0.1:")
    assert settings["grpc_management_address"] == "127.0.0.1"
    assert "token_file" not in launch.facts
    assert "Authorization" not in launch.probe.request(launch.probe.inputs[0]).headers


def test_files_for_a_program_that_is_not_here(
    plan: Plan, run: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    launch = plan("tf", host="0.0.0.0", elsewhere=True)
    assert launch.command[0] == "tensorflow_model_server"
    assert 'name: "digits"' in (run.path / "tf.models.config").read_text()
    assert "/monitoring/prometheus/metrics" in (run.path / "tf.monitoring.config").read_text()


def test_saved_requests_are_whole(plan: Plan, run: RunDirectory) -> None:
    launch = plan("onnx", host="127.0.0.1")
    save_requests(launch, run.path)
    saved = {path.name: path.read_bytes() for path in saved_in(run.path, "onnx").iterdir()}
    assert sorted(saved) == ["digits.http", "words.http"]
    head, _, body = saved["digits.http"].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v2/models/digits/infer HTTP/1.1\r\nHost: 127.0.0.1:")
    assert f"\r\nContent-Length: {len(body)}\r\n".encode() in head
    assert b"\r\nx-gateway-priority: critical\r\n" in head
    assert body.endswith(bytes.fromhex("00000000 0000803f 00000040 00004040"))  # the sample: 0, 1, 2, 3


def test_a_server_with_tokens_leaves_no_requests(stack: dict[str, Any], plan: Plan, run: RunDirectory) -> None:
    stack["backends"]["ts"]["launch"]["authorization"] = True
    save_requests(plan("ts", host="127.0.0.1"), run.path)
    assert [*saved_in(run.path, "ts").iterdir()] == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "no server is called 'nobody'; there are gateway, onnx, ts, tf"),
        ("remote", "backends.remote: it has no `launch` section, so it is not for us to start"),
    ],
)
def test_only_servers_of_ours_are_launched(plan: Plan, name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(name)
    assert str(caught.value) == message


def test_the_others_need_ports_that_are_known(stack: dict[str, Any], plan: Plan) -> None:
    stack["backends"]["tf"]["grpc"] = "tf.example:0"
    with pytest.raises(ConfigError, match=r"^backends\.tf\.grpc: a port is needed for a server that the gateway"):
        plan("gateway")


def test_a_gpu_that_is_not_there_is_noticed_at_once(
    stack: dict[str, Any], plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single, "_DEVICES", tmp_path)
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    stack["backends"]["onnx"]["launch"]["device"] = "cuda:0"
    plan("onnx", host="127.0.0.1")
    stack["backends"]["onnx"]["launch"]["device"] = "cuda:1"
    with pytest.raises(RuntimeFailure, match=r"^backends\.onnx\.launch\.device: there is no GPU 1 here for cuda:1; "):
        plan("onnx", host="127.0.0.1")
