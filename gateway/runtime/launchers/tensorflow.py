"""TensorFlow Serving: the real ``tensorflow_model_server`` where there is one, else ``gateway serve`` in its place.

The stand-in speaks TensorFlow Serving's own gRPC and REST on the same ports, with TensorFlow inside.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from gateway.config.backends import TFServingBackend, TFServingLaunch
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch, child_environment, serve_command
from gateway.runtime.launchers import embedded
from gateway.runtime.launchers.context import LaunchContext, probe_inputs
from gateway.runtime.ports import client_host, join_address, split_address
from gateway.runtime.readiness import tfserving_probe
from model_store.store import StoredModel

PROGRAM = "tensorflow_model_server"
_VERSION_SECONDS = 30.0
# Without it the server has no metrics.
_MONITORING = 'prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }\n'


@dataclass(slots=True, frozen=True)
class _Server:
    title: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


def launch_tfserving(name: str, backend: TFServingBackend, launch: TFServingLaunch, context: LaunchContext) -> Launch:
    """The launch of the backend ``name``."""
    url, grpc_address = cast("str", backend.url), cast("str", backend.grpc)  # resolve_ports has filled the URL in
    host, port = split_address(url)
    grpc = split_address(grpc_address)
    program = PROGRAM if context.elsewhere else shutil.which(PROGRAM)
    server = (
        _model_server(program, name, launch, context, ports=(grpc[1], port))
        if program is not None
        else _stand_in(name, launch, context, grpc=grpc, http=(host, port))
    )
    return Launch(
        name=name,
        server=server.title,
        command=server.command,
        directory=context.run.path,
        environment=server.environment,
        probe=tfserving_probe(f"http://{join_address(client_host(host), port)}", probe_inputs(context.models_of(name))),
        ready_timeout=launch.ready_timeout,
        facts={
            "kind": backend.kind,
            "url": url,
            "grpc": grpc_address,
            "device": launch.device,
            "threads": launch.threads,
        },
    )


def model_config(base_paths: Mapping[str, Path], labels: Mapping[str, Mapping[str, str]]) -> str:
    """The ``--model_config_file`` for models by name, as text protobuf; ``labels`` holds version by label for each.

    Every version under a base path is served: the server by itself takes the latest alone.
    """
    entries = "".join(
        f"  config {{\n    name: {_quoted(name)}\n    base_path: {_quoted(str(path))}\n"
        f'    model_platform: "tensorflow"\n    model_version_policy {{ all {{}} }}\n'
        + "".join(
            f"    version_labels {{ key: {_quoted(label)} value: {version} }}\n"
            for label, version in labels.get(name, {}).items()
        )
        + "  }\n"
        for name, path in base_paths.items()
    )
    return f"model_config_list {{\n{entries}}}\n"


def _model_server(
    program: str, name: str, launch: TFServingLaunch, context: LaunchContext, *, ports: tuple[int, int]
) -> _Server:
    models = context.run.path / f"{name}.models.config"
    base_paths = _link_versions(context.run.path / f"{name}.models", context.models_of(name))
    models.write_text(model_config(base_paths, context.config.labels), encoding="utf-8")
    monitoring = context.run.path / f"{name}.monitoring.config"
    monitoring.write_text(_MONITORING, encoding="utf-8")
    command = (
        program,
        f"--port={ports[0]}",
        f"--rest_api_port={ports[1]}",
        f"--model_config_file={models}",
        f"--monitoring_config_file={monitoring}",
        "--allow_version_labels_for_unavailable_models",  # they are set before the first version has loaded
        f"--tensorflow_intra_op_parallelism={launch.threads}",
        f"--tensorflow_inter_op_parallelism={launch.instances}",
    )
    environment = child_environment(**_visible_devices(launch.device))
    version = "" if context.elsewhere else _version(program)
    return _Server(f"TensorFlow Serving {version}".rstrip(), command, environment)


def _link_versions(directory: Path, models: Sequence[StoredModel]) -> dict[str, Path]:
    """Base path by model name, as the server wants it: a folder of just the versions to serve, by their numbers.

    Each link is replaced atomically, and the others are removed last: a server that runs already watches the folders.
    """
    links = {
        directory / model.manifest.name / model.manifest.version: _saved_model(model.artifact("tensorflow"))
        for model in models
    }
    for link, target in links.items():
        link.parent.mkdir(parents=True, exist_ok=True)
        new = directory / link.name
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(link)
    for other in set(directory.glob("*/*")) - links.keys():
        other.unlink()
    return {model.manifest.name: directory / model.manifest.name for model in models}


def _saved_model(artifact: Path) -> Path:
    # An artefact is a base path of its own, with one numbered folder.
    numbers = [path.name for path in artifact.iterdir() if path.name.isdecimal()] if artifact.is_dir() else []
    return artifact / max(numbers, key=int, default="1")


def _stand_in(
    name: str, launch: TFServingLaunch, context: LaunchContext, *, grpc: tuple[str, int], http: tuple[str, int]
) -> _Server:
    title = embedded.describe("tensorflow")
    config = context.run.path / f"{name}.yaml"
    embedded.write_config(
        config,
        context.config,
        engine="tensorflow",
        launch=launch,
        protocol="tfserving",
        http=http,
        grpc=grpc,
        metrics=(http[0], launch.metrics_port),
        models=context.entries_of(name),
    )
    return _Server(title, serve_command(config), child_environment())


def _version(program: str) -> str:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeFailure(f"{program} does not run: {error}") from None
    found = re.search(r"ModelServer: (\d+(?:\.\d+)*)", answer.stdout)
    return found[1] if found else ""


def _visible_devices(device: str) -> dict[str, str]:
    """The server has no device flag: it takes the GPUs that it can see."""
    if device == "auto":
        return {}
    return {"CUDA_VISIBLE_DEVICES": "" if device == "cpu" else device.removeprefix("cuda:")}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # text protobuf takes the same escapes
