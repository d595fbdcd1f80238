from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from gateway.config.backends import TorchServeLaunch
from gateway.config.settings import GatewayConfig
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch
from gateway.runtime.launchers import torchserve
from gateway.runtime.launchers.context import LaunchContext
from gateway.runtime.state import RunDirectory
from model_store.store import ModelStore


@pytest.fixture
def context(model_store: Path, tmp_path: Path) -> LaunchContext:
    backend = {"kind": "torchserve", "url": "http://127.0.0.1:18080", "launch": {"device": "cuda:1", "threads": 3}}
    config = GatewayConfig.model_validate({"model_store": model_store, "backends": {"ts": backend}})
    run = RunDirectory(tmp_path / "run")
    run.create()
    return LaunchContext(config, run, {"digits": ModelStore(model_store).get("digits")})


@pytest.fixture
def launch(context: LaunchContext) -> Launch:
    backend = context.config.backends["ts"]
    assert backend.kind == "torchserve"
    assert backend.launch is not None
    return torchserve.launch_torchserve("ts", backend, backend.launch, context)


def test_the_settings_are_those_that_matter() -> None:
    launch = TorchServeLaunch(
        instances=2, management_port=1, metrics_port=2, grpc_port=3, grpc_management_port=4, device="cpu"
    )
    settings = torchserve.properties("http://127.0.0.1:18080", launch, Path("/store"), ["a", "b"])
    assert settings["inference_address"] == "http://127.0.0.1:18080"
    assert settings["management_address"] == "http://127.0.0.1:1"
    assert settings["metrics_address"] == "http://127.0.0.1:2"
    assert (settings["grpc_inference_address"], settings["grpc_inference_port"]) == ("127.0.0.1", "3")
    assert (settings["grpc_management_address"], settings["grpc_management_port"]) == ("127.0.0.1", "4")
    assert settings["load_models"] == "a.mar,b.mar"
    assert settings["default_workers_per_model"] == "2"
    assert settings["number_of_gpu"] == "0"
    assert int(settings["job_queue_size"]) >= 1000
    assert int(settings["max_request_size"]) >= 128 * 1024 * 1024
    assert int(settings["max_response_size"]) >= 128 * 1024 * 1024
    assert settings["metrics_mode"] == "prometheus"
    assert settings["disable_token_authorization"] == "false"
    assert settings["enable_model_api"] == "true"
    # TorchServe multiplies it by 60 as a 32-bit integer.
    assert 365 * 24 * 60 < int(settings["token_expiration_min"]) < 2**31 / 60


def test_a_properties_file_is_ascii_and_escaped() -> None:
    text = torchserve.render({"model_store": "/home/jérôme/a\\b/😀", "x": "y"})
    assert text == "model_store=/home/j\\u00e9r\\u00f4me/a\\\\b/\\ud83d\\ude00\nx=y\n"


def test_it_runs_java_on_exactly_the_models_of_the_stack(launch: Launch, context: LaunchContext) -> None:
    home = context.run.path / "ts"
    assert launch.directory == home  # TorchServe writes its key file there
    assert launch.command[0].endswith("java")
    assert Path(launch.command[0]).is_file()
    assert f"-Djava.io.tmpdir={launch.scratch}" in launch.command
    assert (home / "model-store" / "digits.mar").readlink() == (
        context.models["digits"].directory / "torchserve" / "digits.mar"
    )
    lines = (home / "config.properties").read_text().splitlines()
    assert "load_models=digits.mar" in lines
    assert f"model_store={home}/model-store" in lines


def test_its_handler_is_told_device_and_threads(
    context: LaunchContext, launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert launch.environment["GATEWAY_ENGINE_DEVICE"] == "cuda:1"
    assert launch.environment["GATEWAY_ENGINE_THREADS"] == "3"
    assert launch.environment["OMP_NUM_THREADS"] == "3"
    version = subprocess.run(
        [f"{launch.environment['JAVA_HOME']}/bin/java", "-version"], capture_output=True, check=True
    )
    assert b"OpenJDK" in version.stderr


def test_variables_that_would_override_its_file_do_not_reach_it(
    context: LaunchContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TS_CONFIG_FILE", "/other.properties")
    backend = context.config.backends["ts"]
    assert backend.kind == "torchserve"
    assert backend.launch is not None
    launch = torchserve.launch_torchserve("ts", backend, backend.launch, context)
    assert "TS_CONFIG_FILE" not in launch.environment
    assert launch.environment["PATH"] == os.environ["PATH"]


def test_the_path_of_a_worker_socket_is_short_enough(launch: Launch) -> None:
    longest = os.fsencode(f"{launch.scratch}/.ts.sock.65535")
    assert len(longest) <= 107


def test_a_left_out_model_is_unlinked_at_the_next_start(context: LaunchContext, launch: Launch) -> None:
    store = context.run.path / "ts" / "model-store"
    (store / "old.mar").touch()
    backend = context.config.backends["ts"]
    assert backend.kind == "torchserve"
    assert backend.launch is not None
    torchserve.launch_torchserve("ts", backend, backend.launch, context)
    assert [path.name for path in store.iterdir()] == ["digits.mar"]


def test_the_state_tells_where_the_token_is(launch: Launch, context: LaunchContext) -> None:
    assert launch.facts["token_file"] == str(context.run.path / "ts" / "key_file.json")
    assert launch.facts["management"] == "127.0.0.1:8081"
    assert json.loads(json.dumps(launch.facts))["url"] == "http://127.0.0.1:18080"


def test_the_gateway_learns_where_its_own_server_is(context: LaunchContext) -> None:
    backend = context.config.backends["ts"]
    assert backend.kind == "torchserve"
    assert backend.launch is not None
    told = torchserve.launched_settings(backend, backend.launch, context.run.path / "ts")
    assert told.management == "http://127.0.0.1:8081"
    assert told.grpc == "127.0.0.1:7070"
    assert told.token_file == context.run.path / "ts" / "key_file.json"
    assert told.max_request_bytes == 128 * 1024 * 1024


def test_a_missing_installation_says_how_to_install(context: LaunchContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    backend = context.config.backends["ts"]
    assert backend.kind == "torchserve"
    assert backend.launch is not None
    with pytest.raises(RuntimeFailure, match=r"pip install 'serving-gateway\[torchserve\]'"):
        torchserve.launch_torchserve("ts", backend, backend.launch, context)
