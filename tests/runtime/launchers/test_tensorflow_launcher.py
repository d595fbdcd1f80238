from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from gateway.config.file import load_config
from gateway.config.settings import GatewayConfig
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch
from gateway.runtime.launchers import tensorflow
from gateway.runtime.launchers.context import LaunchContext
from gateway.runtime.state import RunDirectory
from model_store.manifest import load_manifest, save_manifest
from model_store.store import ModelStore


@pytest.fixture
def launch_with(model_store: Path, tmp_path: Path) -> Callable[..., Launch]:
    """Launches a tfserving backend called "tf" with the given launch settings."""

    def make(**settings: Any) -> Launch:
        backend = {"kind": "tfserving", "grpc": "127.0.0.1:18500", "url": "http://127.0.0.1:18501", "launch": settings}
        config = GatewayConfig.model_validate({"model_store": model_store, "backends": {"tf": backend}})
        run = RunDirectory(tmp_path / "run")
        run.create()
        store = ModelStore(model_store)
        context = LaunchContext(config, run, {name: store.get(name) for name in store.names()})
        chosen = config.backends["tf"]
        assert chosen.kind == "tfserving"
        assert chosen.launch is not None
        return tensorflow.launch_tfserving("tf", chosen, chosen.launch, context)

    return make


@pytest.fixture
def install_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a `tensorflow_model_server` that runs a shell script on PATH."""

    def install(script: str) -> Path:
        program = tmp_path / "bin" / tensorflow.PROGRAM
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        return program

    return install


def test_the_real_server_is_used_where_there_is_one(
    launch_with: Callable[..., Launch], install_server: Callable[[str], Path], model_store: Path, tmp_path: Path
) -> None:
    program = install_server("echo 'TensorFlow ModelServer: 2.19.1-rc2+dev.sha.1234\nTensorFlow Library: 2.19.1'")
    launch = launch_with(threads=3, instances=2, device="cpu")
    assert launch.server == "TensorFlow Serving 2.19.1"
    assert launch.command == (
        str(program),
        "--port=18500",
        "--rest_api_port=18501",
        f"--model_config_file={tmp_path / 'run' / 'tf.models.config'}",
        f"--monitoring_config_file={tmp_path / 'run' / 'tf.monitoring.config'}",
        "--allow_version_labels_for_unavailable_models",
        "--tensorflow_intra_op_parallelism=3",
        "--tensorflow_inter_op_parallelism=2",
    )
    assert launch.environment["CUDA_VISIBLE_DEVICES"] == ""
    assert (tmp_path / "run" / "tf.models.config").read_text() == (
        "model_config_list {\n"
        f'  config {{\n    name: "digits"\n    base_path: "{tmp_path}/run/tf.models/digits"\n'
        '    model_platform: "tensorflow"\n    model_version_policy { all {} }\n  }\n'
        f'  config {{\n    name: "words"\n    base_path: "{tmp_path}/run/tf.models/words"\n'
        '    model_platform: "tensorflow"\n    model_version_policy { all {} }\n  }\n'
        "}\n"
    )
    served = tmp_path / "run" / "tf.models" / "digits"
    assert [(path.name, path.readlink()) for path in served.iterdir()] == [
        ("1", model_store / "digits" / "1" / "tensorflow" / "1")
    ]


def test_the_real_server_gets_every_version_and_its_labels(
    install_server: Callable[[str], Path], model_store: Path, tmp_path: Path
) -> None:
    install_server("")
    shutil.copytree(model_store / "digits" / "1", model_store / "digits" / "2")
    manifest = load_manifest(model_store / "digits" / "2")
    save_manifest(model_store / "digits" / "2", msgspec.structs.replace(manifest, version="2"))
    backend = {"kind": "tfserving", "grpc": "127.0.0.1:1", "url": "http://127.0.0.1:2", "launch": {"device": "cpu"}}
    labels = {"digits": {"stable": "1", "new": "2"}}
    config = GatewayConfig.model_validate({"model_store": model_store, "labels": labels, "backends": {"tf": backend}})
    run = RunDirectory(tmp_path / "run")
    run.create()
    store = ModelStore(model_store)
    context = LaunchContext(config, run, {"digits": store.get("digits"), "digits/1": store.get("digits", "1")})
    chosen = config.backends["tf"]
    assert chosen.kind == "tfserving"
    assert chosen.launch is not None
    launch = tensorflow.launch_tfserving("tf", chosen, chosen.launch, context)
    written = (tmp_path / "run" / "tf.models.config").read_text()
    assert written.count("config {") == 1
    assert '    version_labels { key: "stable" value: 1 }\n    version_labels { key: "new" value: 2 }\n' in written
    assert sorted(path.name for path in (tmp_path / "run" / "tf.models" / "digits").iterdir()) == ["1", "2"]
    assert [probe.model for probe in launch.probe.inputs] == ["digits"]


@pytest.mark.parametrize(("device", "visible"), [("cpu", ""), ("cuda:1", "1"), ("auto", None)])
def test_the_real_server_sees_the_device_that_it_is_meant_to_use(
    launch_with: Callable[..., Launch],
    install_server: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    visible: str | None,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    install_server("echo nothing to see")
    launch = launch_with(device=device)
    assert launch.environment.get("CUDA_VISIBLE_DEVICES") == visible
    assert launch.server == "TensorFlow Serving"  # it does not tell its version


def test_a_server_that_does_not_run_is_an_error(
    launch_with: Callable[..., Launch], install_server: Callable[[str], Path]
) -> None:
    program = install_server("")
    program.write_bytes(b"\x7fELF of another machine")
    with pytest.raises(RuntimeFailure, match="tensorflow_model_server does not run"):
        launch_with()


def test_names_are_quoted() -> None:
    assert 'base_path: "/a \\"b\\"\\\\c"' in tensorflow.model_config({"m": Path('/a "b"\\c')}, {})


def test_without_it_the_gateway_stands_in(
    launch_with: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GATEWAY_HTTP__PORT", "9999")  # meant for the gateway, not for the servers beside it
    launch = launch_with(threads=2, instances=4, device="cpu", metrics_port=18502)
    path = tmp_path / "run" / "tf.yaml"
    assert launch.server.startswith("gateway serve, embedded TensorFlow 2.")
    assert launch.command[1:] == ("-P", "-m", "gateway.cli", "serve", "--config", str(path))
    config = load_config(path, launch.environment)
    assert config.protocols == ["tfserving"]
    assert (config.http.host, config.http.port, config.grpc.port) == ("127.0.0.1", 18501, 18500)
    assert config.metrics.port == 18502
    assert config.admin is None
    assert config.models == ["digits", "words"]
    (backend,) = config.backends.values()
    assert backend.kind == "embedded"
    assert (backend.engine, backend.device, backend.threads, backend.instances) == ("tensorflow", "cpu", 2, 4)
    assert yaml.safe_load(path.read_text())["admin"] is None


def test_readiness_is_asked_for_over_rest(launch_with: Callable[..., Launch]) -> None:
    launch = launch_with()
    assert [probe.model for probe in launch.probe.inputs] == ["digits", "words"]
    assert launch.probe.request(launch.probe.inputs[0]).url == "http://127.0.0.1:18501/v1/models/digits:predict"
