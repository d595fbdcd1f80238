"""What it takes to run one server: made by a launcher, run by ``child.Child``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.runtime.readiness import Probe

# Settings of our own servers come from the files that ``gateway up`` writes: a variable that changed a port of the
# gateway would change the same port of every server beside it. TorchServe's variables would override its file.
_SETTINGS = ("GATEWAY_", "TS_")
STOP_SECONDS = 10.0


@dataclass(slots=True, frozen=True)
class Launch:
    """One server.

    Attributes:
        name: what the configuration calls it; also the name of its log.
        server: what it is, for people: product and version.
        command: program and arguments.
        directory: working directory.
        environment: the whole environment.
        probe: asks for one real inference.
        ready_timeout: seconds from the start until every model has answered.
        stop_timeout: seconds from SIGTERM until it is killed.
        facts: kind, addresses and settings, as the state file shows them.
        scratch: directory that is empty at each start and gone at the end.
        alive: URL that it answers at once for as long as it does not hang; None: nothing tells.
    """

    name: str
    server: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    probe: Probe
    ready_timeout: float
    facts: Mapping[str, str | int]
    stop_timeout: float = STOP_SECONDS
    scratch: Path | None = None
    alive: str | None = None


def child_environment(**extra: str) -> dict[str, str]:
    """This process's environment without the settings of the servers, and with ``extra``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return kept | extra


def serve_command(config: Path) -> tuple[str, ...]:
    """The command that runs ``gateway serve`` on the configuration file ``config``."""
    return (sys.executable, "-P", "-m", "gateway.cli", "serve", "--config", str(config))
