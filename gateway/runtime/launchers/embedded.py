"""``gateway serve`` as a model server: one inference engine in its process, one protocol in front of it."""

from __future__ import annotations

from importlib import metadata, util
from pathlib import Path

from gateway.config.backends import EmbeddedBackend, LaunchConfig
from gateway.config.file import dump_config
from gateway.config.settings import GatewayConfig, Listener, Protocol
from gateway.runtime.errors import RuntimeFailure

# Engine → name for people, the module that must import, and the distributions that may provide it.
_ENGINES = {
    "onnxruntime": ("ONNX Runtime", "onnxruntime", ("onnxruntime", "onnxruntime-gpu")),
    "tensorflow": ("TensorFlow", "tensorflow", ("tensorflow", "tensorflow-cpu")),
    "pytorch": ("PyTorch", "torch", ("torch",)),
}


def describe(engine: str) -> str:
    """Product and version of the server that embeds ``engine``.

    Raises:
        RuntimeFailure: the engine is not installed; says how to install it.
    """
    title, module, distributions = _ENGINES[engine]
    if util.find_spec(module) is None:
        extra = "torchserve" if engine == "pytorch" else engine
        raise RuntimeFailure(f"{title} is not installed; install it with: pip install 'serving-gateway[{extra}]'")
    for distribution in distributions:
        try:
            return f"gateway serve, embedded {title} {metadata.version(distribution)}"
        except metadata.PackageNotFoundError:
            continue
    return f"gateway serve, embedded {title}"


def write_config(
    path: Path,
    stack: GatewayConfig,
    *,
    engine: str,
    launch: LaunchConfig,
    protocol: Protocol,
    http: tuple[str, int],
    grpc: tuple[str, int],
    metrics: tuple[str, int],
    models: list[str],
) -> None:
    """Write the configuration of a server for ``models`` with ``engine`` inside; it has no admin port of its own."""
    backend = EmbeddedBackend.model_validate(
        {
            "kind": "embedded",
            "engine": engine,
            "device": launch.device,
            "threads": launch.threads,
            "instances": launch.instances,
        }
    )
    config = stack.model_copy(
        update={
            "protocols": [protocol],
            "http": Listener(host=http[0], port=http[1]),
            "grpc": Listener(host=grpc[0], port=grpc[1]),
            "metrics": Listener(host=metrics[0], port=metrics[1]),
            "admin": None,
            "workers": 1,  # those of the gateway in front; here each would hold all models
            "routing": {},
            "shadow": {},
            "compare": {},
            "parity": None,  # the gateway in front watches all servers
            "tracing": stack.tracing and stack.tracing.model_copy(update={"service": path.stem}),
            "models": models,
            "backends": {engine: backend},
        }
    )
    path.write_text(dump_config(config), encoding="utf-8")
