from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gateway.config.file import load_config
from gateway.config.settings import GatewayConfig
from gateway.core.datatypes import Datatype
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launchers.context import probe_inputs
from gateway.runtime.plan import make_plan
from gateway.runtime.state import RunDirectory
from model_store.manifest import load_manifest, save_manifest
from model_store.store import ModelStore

ONNX = {"kind": "oip", "url": "http://127.0.0.1:0", "launch": {"metrics_port": 0}}
TORCHSERVE = {
    "kind": "torchserve",
    "url": "http://127.0.0.1:18080",
    "launch": {"management_port": 0, "metrics_port": 0, "grpc_port": 0, "grpc_management_port": 0},
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.chdir(tmp_path)
    directory = RunDirectory(Path("run"))
    directory.create()
    return directory


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def config(backends: dict[str, Any], **settings: Any) -> GatewayConfig:
    ports = {name: {"port": 0} for name in ("http", "grpc", "metrics", "admin")}
    return GatewayConfig.model_validate({**ports, "model_store": "models", "backends": backends, **settings})


def test_the_resolved_configuration_is_written_for_the_gateway(model_store: Path, run: RunDirectory) -> None:
    plan = make_plan(config({"onnx": ONNX, "ts": TORCHSERVE}), run)
    assert [launch.name for launch in plan.backends] == ["onnx", "ts"]
    assert plan.models == ["digits", "words"]
    written = load_config(run.path / "gateway.yaml", {})
    assert written.model_store == model_store
    backend = written.backends["ts"]
    assert backend.kind == "torchserve"
    assert backend.token_file == run.path / "ts" / "key_file.json"
    assert written.http.port > 0
    assert plan.gateway.facts["http"] == f"127.0.0.1:{written.http.port}"
    assert plan.gateway.stop_timeout > written.drain.grace + written.drain.timeout
    assert written.admin is not None
    assert plan.gateway.alive == f"http://127.0.0.1:{written.admin.port}/livez"
    assert [launch.alive for launch in plan.backends] == [None, None]
    assert make_plan(config({"onnx": ONNX}, admin=None), run).gateway.alive is None


def test_a_server_is_given_the_address_that_the_gateway_calls(model_store: Path, run: RunDirectory) -> None:
    plan = make_plan(config({"onnx": ONNX}), run)
    gateway, server = load_config(run.path / "gateway.yaml", {}), load_config(run.path / "onnx.yaml", {})
    backend = gateway.backends["onnx"]
    assert backend.kind == "oip"
    assert backend.url == f"http://127.0.0.1:{server.http.port}"
    assert backend.grpc == f"127.0.0.1:{server.grpc.port}"
    (launch,) = plan.backends
    assert launch.server.startswith("gateway serve, embedded ONNX Runtime 1.")
    assert launch.facts["metrics"] == f"127.0.0.1:{server.metrics.port}"
    assert server.protocols == ["oip"]


def test_somebody_elses_server_is_routed_to_and_not_started(model_store: Path, run: RunDirectory) -> None:
    remote = {"kind": "oip", "url": "http://inference.example:9000"}
    plan = make_plan(config({"remote": remote}), run)
    assert plan.backends == []
    assert plan.gateway.probe.inputs == ()  # the gateway is ready whether or not that server is
    assert list(load_config(run.path / "gateway.yaml", {}).backends) == ["remote"]


def test_the_gateway_answers_for_the_models_of_its_own_servers(model_store: Path, run: RunDirectory) -> None:
    remote = {"kind": "oip", "url": "http://inference.example:9000"}
    plan = make_plan(config({"remote": remote, "onnx": {**ONNX, "models": ["digits"]}}), run)
    assert [probe.model for probe in plan.gateway.probe.inputs] == ["digits"]
    assert load_config(run.path / "onnx.yaml", {}).models == ["digits"]


def test_a_relative_token_file_becomes_absolute(model_store: Path, run: RunDirectory, tmp_path: Path) -> None:
    remote = {"kind": "torchserve", "url": "http://inference.example:8080", "token_file": "keys/key_file.json"}
    make_plan(config({"remote": remote}), run)
    backend = load_config(run.path / "gateway.yaml", {}).backends["remote"]
    assert backend.kind == "torchserve"
    assert backend.token_file == tmp_path / "keys" / "key_file.json"


def test_a_taken_port_is_noticed_before_anything_starts(
    model_store: Path, run: RunDirectory, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    with pytest.raises(RuntimeFailure, match=rf"^http\.port: port {port} is taken by pid {os.getpid()} "):
        make_plan(config({"onnx": ONNX}, http={"port": port}), run)
    assert not (run.path / "gateway.yaml").exists()


def test_a_model_that_is_not_built_says_how_to_build_it(model_store: Path, run: RunDirectory) -> None:
    with pytest.raises(RuntimeFailure, match="build it with: model-store build resnet"):
        make_plan(config({"onnx": ONNX}, models=["resnet"]), run)


def test_an_empty_store_says_so(run: RunDirectory) -> None:
    with pytest.raises(RuntimeFailure, match=r"the model store .*models is empty; build a model with"):
        make_plan(config({"onnx": ONNX}), run)


def test_a_backend_without_any_of_the_models_is_an_error(model_store: Path, run: RunDirectory) -> None:
    message = r"^backends\.onnx: none of the models to serve is for it: digits, words; see `model-store list`, or leave"
    with pytest.raises(RuntimeFailure, match=message):
        make_plan(config({"onnx": {**ONNX, "models": ["resnet"]}}), run)


def forget(store: Path, name: str, target: str) -> None:
    """Make the model one that was built without ``target``."""
    manifest = load_manifest(store / name / "1")
    artifacts = {key: artifact for key, artifact in manifest.artifacts.items() if key != target}
    save_manifest(store / name / "1", msgspec.structs.replace(manifest, artifacts=artifacts))


def test_a_server_gets_the_models_that_were_built_for_it(model_store: Path, run: RunDirectory) -> None:
    forget(model_store, "words", "torchserve")
    make_plan(config({"onnx": ONNX, "ts": TORCHSERVE}), run)
    backends = load_config(run.path / "gateway.yaml", {}).backends
    assert backends["onnx"].models == ["digits", "words"]
    assert backends["ts"].models == ["digits"]
    assert "load_models=digits.mar\n" in (run.path / "ts" / "config.properties").read_text()


def test_a_server_that_nothing_was_built_for_is_an_error(model_store: Path, run: RunDirectory) -> None:
    for name in ("digits", "words"):
        forget(model_store, name, "torchserve")
    with pytest.raises(RuntimeFailure, match=r"^backends\.ts: none of the models to serve is for it: digits, words;"):
        make_plan(config({"onnx": ONNX, "ts": TORCHSERVE}), run)


def test_the_order_of_a_backends_own_models_stays(model_store: Path, run: RunDirectory) -> None:
    make_plan(config({"onnx": {**ONNX, "models": ["words", "resnet", "digits"]}}), run)
    assert load_config(run.path / "gateway.yaml", {}).backends["onnx"].models == ["words", "digits"]


@pytest.mark.parametrize(("engine", "target"), [("onnxruntime", "onnx"), ("tensorflow", "tensorflow")])
def test_an_engine_in_the_gateway_gets_the_models_that_were_built_for_it(
    model_store: Path, run: RunDirectory, engine: str, target: str
) -> None:
    forget(model_store, "words", target)
    plan = make_plan(config({"inside": {"kind": "embedded", "engine": engine}}), run)
    assert load_config(run.path / "gateway.yaml", {}).backends["inside"].models == ["digits"]
    assert [probe.model for probe in plan.gateway.probe.inputs] == ["digits"]


def test_a_started_servers_engine_says_what_must_be_built_for_it(model_store: Path, run: RunDirectory) -> None:
    forget(model_store, "words", "tensorflow")
    server = {**ONNX, "launch": {"metrics_port": 0, "engine": "tensorflow"}}
    make_plan(config({"tf": server}), run)
    assert load_config(run.path / "tf.yaml", {}).models == ["digits"]


def test_somebody_elses_server_may_have_models_that_the_store_has_not_built_for_it(
    model_store: Path, run: RunDirectory
) -> None:
    forget(model_store, "words", "tensorflow")
    remote = {"kind": "tfserving", "url": "http://inference.example:8501", "grpc": "inference.example:8500"}
    make_plan(config({"remote": remote}), run)
    assert load_config(run.path / "gateway.yaml", {}).backends["remote"].models is None


def test_a_missing_engine_says_how_to_install_it(
    model_store: Path, run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeFailure, match=r"ONNX Runtime is not installed; .*serving-gateway\[onnxruntime\]"):
        make_plan(config({"onnx": ONNX}), run)


def test_the_example_shows_a_picture_of_the_store(model_store: Path, run: RunDirectory) -> None:
    command = "gateway infer digits --image models/digits/1/samples/one.png"
    assert make_plan(config({"onnx": ONNX}), run).example == f"{command} --config run/gateway.yaml"
    default = RunDirectory(Path(".gateway"))  # where `gateway infer` looks by itself
    default.create()
    assert make_plan(config({"onnx": ONNX}), default).example == command


def test_probes_use_a_sample_or_zeros(model_store: Path) -> None:
    store = ModelStore(model_store)
    digits, words = probe_inputs([store.get("digits"), store.get("words")])
    (sample,) = digits.inputs
    assert (sample.name, sample.datatype, sample.shape) == ("x", Datatype.FP32, (1, 4))
    assert np.array_equal(sample.to_numpy(), [[0, 1, 2, 3]])
    (zeros,) = words.inputs
    assert (zeros.name, zeros.datatype, zeros.shape) == ("text", Datatype.BYTES, (1, 2))
    assert zeros.data == bytes(8)


def test_servers_are_told_the_versions_to_serve(model_store: Path, run: RunDirectory) -> None:
    shutil.copytree(model_store / "digits" / "1", model_store / "digits" / "2")
    manifest = load_manifest(model_store / "digits" / "2")
    save_manifest(model_store / "digits" / "2", msgspec.structs.replace(manifest, version="2"))
    labels = {"digits": {"stable": "1"}}
    plan = make_plan(config({"onnx": ONNX}, models=["digits", "digits/1", "digits/2"], labels=labels), run)
    server = load_config(run.path / "onnx.yaml", {})
    assert (server.models, server.labels) == (["digits", "digits/1"], labels)  # the latest one is 2 already
    assert load_config(run.path / "gateway.yaml", {}).backends["onnx"].models == ["digits"]
    assert [probe.model for probe in plan.gateway.probe.inputs] == ["digits"]


def test_a_label_for_a_version_that_is_not_served_is_an_error(model_store: Path, run: RunDirectory) -> None:
    with pytest.raises(RuntimeFailure, match=r"^labels\.digits\.old: version '0' is not served; models serves: 1$"):
        make_plan(config({"onnx": ONNX}, labels={"digits": {"old": "0"}}), run)
