"""A server behind the gateway is one process: each worker would hold all of its models."""

from gateway.config.backends import LaunchConfig
from gateway.config.file import load_config
from gateway.config.settings import GatewayConfig
from gateway.runtime.launchers.embedded import write_config


def test_a_server_has_no_workers_beside_those_of_the_gateway(tmp_path):
    path = tmp_path / "onnxruntime.yaml"
    write_config(
        path,
        GatewayConfig.model_validate({"backends": {}, "workers": 4}),
        engine="onnxruntime",
        launch=LaunchConfig(),
        protocol="oip",
        http=("127.0.0.1", 9000),
        grpc=("127.0.0.1", 9001),
        metrics=("127.0.0.1", 9002),
        models=["m"],
    )
    assert load_config(path, environ={}).workers == 1
