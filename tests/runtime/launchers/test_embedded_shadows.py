"""A server behind the gateway has no shadows: those are the gateway's in front."""

from gateway.config.backends import LaunchConfig
from gateway.config.file import load_config
from gateway.config.settings import GatewayConfig
from gateway.runtime.launchers.embedded import write_config


def test_a_servers_configuration_has_neither_shadows_nor_comparisons(tmp_path):
    backends = {name: {"kind": "oip", "url": f"http://127.0.0.1:{port}"} for name, port in (("a", 9), ("b", 10))}
    stack = GatewayConfig.model_validate(
        {"backends": backends, "shadow": {"m": {"share": 1, "backend": "b"}}, "compare": {"m": {}}}
    )
    path = tmp_path / "onnxruntime.yaml"
    write_config(
        path,
        stack,
        engine="onnxruntime",
        launch=LaunchConfig(),
        protocol="oip",
        http=("127.0.0.1", 9000),
        grpc=("127.0.0.1", 9001),
        metrics=("127.0.0.1", 9002),
        models=["m"],
    )
    written = load_config(path, environ={})
    assert written.shadow == written.compare == {}
