"""All gateways of a project, told what to do by commands that run in their own containers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any
from urllib.parse import quote

from gateway.runtime.docker.container import Container
from gateway.runtime.docker.health import POLL_SECONDS
from gateway.runtime.docker.plan import CONFIG
from gateway.runtime.errors import RuntimeFailure

_ASK_SECONDS = 60.0
_LOAD_SECONDS = 600.0  # requests to the version before are answered first


class Gateways:
    """``containers`` are the running ones. Every method may raise RuntimeFailure with what a gateway said."""

    def __init__(self, containers: Sequence[Container]) -> None:
        self._containers = containers

    def require_ready(self) -> None:
        """Return when every one is healthy.

        Raises:
            RuntimeFailure: one is not, and could not do what it is told.
        """
        for one in self._containers:
            if not one.state().ready:
                raise RuntimeFailure(f"{one.service}: {one.name} is not healthy; see `gateway deploy status`")

    def networks(self) -> Set[str]:
        """The names of those that they are on."""
        return self._containers[0].networks().keys()

    def refresh(self, backend: str) -> list[Mapping[str, Any]]:
        """Have each resolve the backend's name now; returns the state by address that each has of its replicas."""
        path = f"/backends/{quote(backend, safe='')}/replicas/refresh"
        return [_ask(one, "POST", path) for one in self._containers]

    def wait_up(self, backend: str, address: str, seconds: float, check: Callable[[], None]) -> None:
        """Return once the replica at ``address`` is up in each; ``check`` may raise meanwhile.

        Raises:
            RuntimeFailure: it is not within ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while True:
            states = [replicas.get(address, {}).get("state", "unknown") for replicas in self.refresh(backend)]
            if all(state == "up" for state in states):
                return
            check()
            if time.monotonic() > deadline:
                raise RuntimeFailure(f"{backend}: its replica at {address} is {', '.join(states)} in the gateways")
            time.sleep(POLL_SECONDS)

    def drain(self, backend: str, address: str, seconds: float) -> None:
        """Have each send nothing new to the replica at ``address``; return when nothing is in flight on it.

        Raises:
            RuntimeFailure: something still is after ``seconds``.
        """
        path = f"/backends/{quote(backend, safe='')}/replicas/{quote(address, safe='')}/drain?timeout={seconds:g}"
        for one in self._containers:
            _ask(one, "POST", path, seconds + _ASK_SECONDS)

    def load(self, model: str) -> None:
        """Have each serve the store's latest version of ``model`` in place of the one before, losing no request."""
        for one in self._containers:
            _ask(one, "POST", f"/v2/repository/models/{quote(model, safe='')}/load", _LOAD_SECONDS)

    def served(self) -> dict[str, dict[str, list[str]]]:
        """Versions by backend by model; with those of all gateways where they differ."""
        served: dict[str, dict[str, dict[str, None]]] = {}
        for one in self._containers:
            for backend, told in _ask(one, "GET", "/backends").items():
                for model, state in told["models"].items():
                    versions = served.setdefault(model, {}).setdefault(backend, {})
                    versions.update(dict.fromkeys(state["versions"]))
        return {model: {name: [*found] for name, found in backends.items()} for model, backends in served.items()}

    def stored(self) -> dict[str, dict[str, set[str]]]:
        """What was built, by version by model of the store that the gateways see: the servers that it is for."""
        listed = json.loads(_run(self._containers[0], "gateway", "stored", "--config", CONFIG))
        return {
            model: {version: set(built) for version, built in versions.items()} for model, versions in listed.items()
        }

    def verify(self, backend: str, address: str, models: Sequence[str]) -> str:
        """Hold the answers of the server at ``address`` against the store's samples; returns what was compared.

        ``models`` are ``name/version``; the first gateway does it, since all have the same store.

        Raises:
            RuntimeFailure: they differ; says by how much.
        """
        command = ["gateway", "verify", backend, *models, "--host", address, "--config", CONFIG]
        return _run(self._containers[0], *command).strip()


def _ask(container: Container, method: str, path: str, seconds: float = _ASK_SECONDS) -> Any:
    answer = _run(container, "python", "-P", "-m", "gateway.runtime.docker.ask", method, path, f"{seconds:g}")
    return json.loads(answer or "null")


def _run(container: Container, *command: str) -> str:
    finished = container.execute(command)
    if finished.code:
        said = " ".join(finished.errors.removeprefix("error: ").split()) or f"exit code {finished.code}"
        raise RuntimeFailure(f"{container.name}: {said}")
    return finished.output
