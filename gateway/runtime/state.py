"""The state file: what runs, for ``gateway status``, ``gateway down`` and any other program."""

from __future__ import annotations

import contextlib
import fcntl
import json
from pathlib import Path
from typing import Any, BinaryIO

from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.procfs import start_time

DEFAULT_RUN_DIRECTORY = Path(".gateway")


class RunDirectory:
    """The files of one ``gateway up``: state, lock, logs, generated configurations."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.state_file = self.path / "state.json"
        self.failure_file = self.path / "failure.txt"
        self.logs = self.path / "logs"

    def create(self) -> None:
        """Make the directories; only this user may look into them, since TorchServe's tokens lie there."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)

    def lock(self) -> BinaryIO:
        """Hold the run directory until the returned file is closed or this process ends.

        Raises:
            RuntimeFailure: another ``gateway up`` holds it.
        """
        file = (self.path / "lock").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            holder = self.read_state()
            who = f" (pid {holder['pid']})" if holder else ""
            raise RuntimeFailure(
                f"another `gateway up`{who} already runs in {self.shown(self.path)}; "
                f"stop it with `gateway down`, or choose another --run-dir"
            ) from None
        return file

    def shown(self, path: Path) -> Path:
        """``path`` as people and the state file see it: relative to the working directory where it lies below it."""
        here = Path.cwd()
        return path.relative_to(here) if path.is_relative_to(here) else path

    def log(self, name: str) -> Path:
        """Where the server ``name`` logs."""
        return self.logs / f"{name}.log"

    def rotate_log(self, name: str) -> Path:
        """Keep the previous log as ``.1`` and return the path of the new one."""
        log = self.log(name)
        if log.exists():
            log.replace(log.with_name(f"{log.name}.1"))
        return log

    def read_state(self) -> dict[str, Any] | None:
        """The state file's content; None when there is none or it is not readable as one."""
        try:
            state = json.loads(self.state_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return state if isinstance(state, dict) and "pid" in state else None

    def write_state(self, state: dict[str, Any]) -> None:
        """Replace the state file; a reader sees the old or the new content, never a part."""
        temporary = self.state_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self.state_file)

    def note_failure(self, message: str | None) -> None:
        """Keep why the last ``gateway up`` failed, for ``gateway status``; None: it did not."""
        with contextlib.suppress(OSError):
            if message is None:
                self.failure_file.unlink(missing_ok=True)
            else:
                self.failure_file.write_text(f"{message}\n", encoding="utf-8")

    def read_failure(self) -> str:
        """Why the last ``gateway up`` failed; empty when it did not."""
        try:
            return self.failure_file.read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def remove_state(self) -> None:
        """Remove the state file, if there is one."""
        self.state_file.unlink(missing_ok=True)


def supervisor_alive(state: dict[str, Any]) -> bool:
    """Whether the ``gateway up`` that wrote ``state`` still runs, and not another process of the same pid."""
    return start_time(state["pid"]) == state.get("start_time")
