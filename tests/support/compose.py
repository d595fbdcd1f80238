"""The Compose files of this repository, the two programs that read them, and a running stack of them."""

import contextlib
import functools
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import urllib.request
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parent.parent.parent
BASE = "docker-compose.yml"
OVERLAYS = {name: f"deploy/compose/{name}.yml" for name in ("airgap", "gpu", "triton")}
PROGRAMS = ("docker compose", "docker-compose")
BACKENDS = ("torchserve", "tensorflow", "onnxruntime")
_USER = 10001


@functools.cache
def load(*files):
    """The service definitions of ``files``, each laid over those before; lists grow."""
    merged = {}
    for file in files:
        merged = _merge(merged, yaml.safe_load((REPOSITORY / file).read_text()))
    return merged


def _merge(base, overlay):
    if isinstance(base, dict) and isinstance(overlay, dict):
        return base | {key: _merge(base.get(key), value) for key, value in overlay.items()}
    if isinstance(base, list) and isinstance(overlay, list):
        return base + [entry for entry in overlay if entry not in base]
    return overlay


@functools.cache
def program(words):
    """Whether ``docker-compose`` (version 1) or ``docker compose`` (2) runs here."""
    command = [*words.split(), "version"]
    return bool(shutil.which(command[0])) and subprocess.run(command, capture_output=True, check=False).returncode == 0


def docker(*arguments, check=True, **options):
    """What `docker` prints; with ``check`` false the finished process."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, **options)
    if not check:
        return done
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}"
    return done.stdout.strip()


def free_range(size):
    """The first of ``size`` ports in a row that nobody listens on."""
    # Test runs side by side look in different places: a range is free until its last port is in use.
    for first in range(21000 + os.getpid() % 800 * 10, 30000, size):
        with contextlib.ExitStack() as bound:
            try:
                for port in range(first, first + size):
                    bound.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first
    raise AssertionError(f"no {size} free ports in a row")


class ComposeProject:
    """The air-gapped stack as a project of its own, on ports of its own."""

    def __init__(self, name, **variables):
        first = free_range(8)
        self.name = name
        self.words = next(words for words in PROGRAMS if program(words)).split()
        self.variables = {
            "HTTP_PORT": f"{first}-{first + 3}",
            "GRPC_PORT": f"{first + 4}-{first + 7}",
            **variables,
        }

    def compose(self, *arguments, check=True):
        """Run Compose on the project; returns the finished process."""
        command = [*self.words, "--project-name", self.name, "-f", BASE, "-f", OVERLAYS["airgap"], *arguments]
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, f"{' '.join(arguments)}:\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done

    def logs(self):
        """The last lines of every service."""
        return self.compose("logs", "--no-color", "--tail", "30", check=False).stdout

    def containers(self, service):
        """The ids of the service's containers, ended ones too, by number."""
        label = "label=com.docker.compose"
        found = docker(
            "ps", "-aq", "--filter", f"{label}.project={self.name}", "--filter", f"{label}.service={service}"
        )
        return sorted(
            found.split(), key=lambda one: inspect(one)["Config"]["Labels"]["com.docker.compose.container-number"]
        )

    def healthy(self):
        """Whether the last health check of every running container has passed."""
        running = docker("ps", "-q", "--filter", f"label=com.docker.compose.project={self.name}").split()
        return all(inspect(one)["State"]["Health"]["Status"] == "healthy" for one in running)

    def addresses(self, port):
        """Where each gateway's ``port`` is published: ``host:port``."""
        return [docker("port", one, str(port)).splitlines()[0] for one in self.containers("gateway")]

    def get(self, service, port, path, index=0):
        """GET from a container, by its address on the private network."""
        container = inspect(self.containers(service)[index])
        address = container["NetworkSettings"]["Networks"][f"{self.name}_internal"]["IPAddress"]
        with urllib.request.urlopen(f"http://{address}:{port}{path}", timeout=10) as answer:
            return answer.read().decode()

    def query(self, expression):
        """The vector that Prometheus answers: value by its labels."""
        quoted = urllib.request.quote(expression)
        document = json.loads(self.get("prometheus", 9090, f"/api/v1/query?query={quoted}"))
        return [(one["metric"], float(one["value"][1])) for one in document["data"]["result"]]

    def fill_store(self, store, models):
        """Copy built models into the project's volume, as their builder would have left them."""
        self.compose("up", "--no-start", "models")
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for model in models:
                tar.add(store / model, model, filter=_owned)
        command = ["docker", "cp", "-", f"{self.containers('models')[0]}:/models"]
        subprocess.run(command, input=archive.getvalue(), capture_output=True, check=True)

    def down(self):
        """Remove everything that the project has made."""
        self.compose("--profile", "grafana", "down", "--volumes", "--remove-orphans", "--timeout", "60")

    def left(self):
        """The names of the project's containers, networks and volumes."""
        label = f"label=com.docker.compose.project={self.name}"
        listings = (("ps", "-a", "--format", "{{.Names}}"), ("network", "ls", "-q"), ("volume", "ls", "-q"))
        return [line for listing in listings for line in docker(*listing, "--filter", label).split()]


def inspect(container):
    """What the engine knows of a container."""
    return json.loads(docker("inspect", container))[0]


def _owned(member):
    member.uid = member.gid = _USER
    return member
