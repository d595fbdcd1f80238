"""The configuration of a model server that is a `gateway serve`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.backends import LaunchConfig
from gateway.config.file import load_config
from gateway.config.settings import GatewayConfig, TracingConfig
from gateway.runtime.launchers.embedded import write_config


@pytest.mark.parametrize("tracing", [None, TracingConfig(endpoint="http://collector:4318", sample=0.5)])
def test_a_traced_stack_has_traced_servers_under_names_of_their_own(
    tmp_path: Path, tracing: TracingConfig | None
) -> None:
    path = tmp_path / "onnxruntime.yaml"
    write_config(
        path,
        GatewayConfig(backends={}, tracing=tracing),
        engine="onnxruntime",
        launch=LaunchConfig(),
        protocol="oip",
        http=("127.0.0.1", 9000),
        grpc=("127.0.0.1", 9001),
        metrics=("127.0.0.1", 9002),
        models=["m"],
    )
    written = load_config(path, environ={}).tracing
    assert written == (tracing and tracing.model_copy(update={"service": "onnxruntime"}))
