"""One container: its state, what it logs, what can be done with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.runtime.docker.engine_errors import explained

_TAIL_LINES = 15
_SIGNAL_EXIT = 128  # a shell's and an engine's way to say: killed by that signal


@dataclass(slots=True, frozen=True)
class ContainerState:
    """What the engine knows of a container at one moment.

    Attributes:
        status: ``created``, ``running``, ``restarting``, ``exited``, … as the engine says it.
        health: ``starting``, ``healthy`` or ``unhealthy``; empty without a health check.
        ended: how it ended last, for people; empty while it never did.
        complaint: what the last health check said.
        restarts: how often the engine started it again.
        exit_code: of its last end; 0 while it never did.
    """

    status: str
    health: str
    ended: str
    complaint: str
    restarts: int
    exit_code: int

    @property
    def running(self) -> bool:
        return self.status == "running"

    @property
    def ready(self) -> bool:
        """Whether it runs and is healthy as far as anybody checks."""
        return self.running and self.health in ("", "healthy")


@dataclass(slots=True, frozen=True)
class Finished:
    """A command that ran in a container."""

    code: int
    output: str
    errors: str


class Container:
    """A container on an engine; ``service`` is what errors about it name. Every method may raise RuntimeFailure."""

    def __init__(self, handle: Any, service: str) -> None:
        self._handle = handle
        self.service = service

    @property
    def id(self) -> str:
        return str(self._handle.id)

    @property
    def name(self) -> str:
        return str(self._handle.name)

    @property
    def labels(self) -> Mapping[str, str]:
        return dict(self._handle.labels)

    def inspect(self) -> dict[str, Any]:
        """All that the engine knows of it, asked anew."""
        with explained(self.service):
            self._handle.reload()
        return dict(self._handle.attrs)

    def state(self) -> ContainerState:
        """Its state, asked anew."""
        return parse_state(self.inspect())

    def networks(self) -> Mapping[str, Mapping[str, Any]]:
        """How it is connected, by name of the network."""
        return dict(self.inspect()["NetworkSettings"]["Networks"])

    def addresses(self) -> list[str]:
        """Its addresses on its networks."""
        return [network["IPAddress"] for network in self.networks().values() if network["IPAddress"]]

    def start(self) -> None:
        with explained(self.service):
            self._handle.start()

    def stop(self, seconds: float) -> None:
        """SIGTERM, and SIGKILL after ``seconds``; returns when it has ended."""
        with explained(self.service):
            self._handle.stop(timeout=round(seconds))

    def stop_timeout(self, default: float) -> float:
        """Seconds that it has to end by itself, as its own configuration says."""
        return float(self.inspect()["Config"].get("StopTimeout") or default)

    def kill(self) -> None:
        with explained(self.service):
            self._handle.kill()

    def remove(self) -> None:
        """Remove it with its anonymous volumes, running or not."""
        with explained(self.service):
            self._handle.remove(force=True, v=True)

    def rename(self, name: str) -> None:
        with explained(self.service):
            self._handle.rename(name)
            self._handle.reload()

    def restart_always(self, policy: Mapping[str, Any]) -> None:
        """Have the engine start it again by ``policy`` from now on."""
        with explained(self.service):
            self._handle.update(restart_policy=dict(policy))

    def execute(self, command: Sequence[str]) -> Finished:
        """Run ``command`` in it, as its own user and with its own environment."""
        with explained(self.service):
            code, (output, errors) = self._handle.exec_run(list(command), demux=True)
        return Finished(code, (output or b"").decode(errors="replace"), (errors or b"").decode(errors="replace"))

    def tail(self) -> str:
        """The last lines of its log, indented; empty when there is nothing to read."""
        with explained(self.service):
            lines = self._handle.logs(tail=_TAIL_LINES).decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines)

    def log(self, *, follow: bool, tail: int) -> Iterator[bytes]:
        """The last ``tail`` lines of its log, in pieces of any size; with ``follow`` all that comes as well."""
        with explained(self.service):
            yield from self._handle.logs(stream=True, follow=follow, tail=tail)


def parse_state(inspected: Mapping[str, Any]) -> ContainerState:
    """The state in what the engine tells of a container."""
    state = inspected["State"]
    health = state.get("Health") or {}
    log = health.get("Log") or []
    complaint = log[-1]["Output"].strip() if log and log[-1]["ExitCode"] else ""
    return ContainerState(
        status=state["Status"],
        health=health.get("Status", "").replace("none", ""),
        ended=_describe_end(state, inspected["HostConfig"].get("Memory", 0)),
        complaint=" ".join(complaint.split()),
        restarts=inspected.get("RestartCount", 0),
        exit_code=state.get("ExitCode", 0),
    )


def _describe_end(state: Mapping[str, Any], memory: int) -> str:
    if state.get("Error"):
        return str(state["Error"])
    if state.get("OOMKilled"):
        limit = f" of {memory / 2**20:g} MiB" if memory else ""
        return f"killed because it was out of memory: it needs more than its limit{limit}"
    if state["Status"] in ("created", "running"):
        return ""
    code = state["ExitCode"]
    if code <= _SIGNAL_EXIT:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(code - _SIGNAL_EXIT).name}"
    except ValueError:
        return f"exit code {code}"
