"""The supervisor's end of the reaper: starts it and tells it which process groups live."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

from gateway.runtime import reaper


class Reaper:
    """Guards process groups against a sudden end of this process; see ``reaper``."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._groups: set[int] = set()
        self._process, self._pipe = self._start()

    @property
    def pid(self) -> int:
        """Pid of the reaper process."""
        return self._process.pid

    def guard(self, group: int) -> None:
        """Have ``group`` stopped should this process end without ``release``."""
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def release(self, group: int) -> None:
        """Forget ``group``: nothing of it is left."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """End the reaper; it stops the groups that were not released."""
        os.close(self._pipe)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2 * reaper.GRACE_SECONDS)

    def _start(self) -> tuple[subprocess.Popen[bytes], int]:
        """The reaper process, and the end of the pipe that it waits on."""
        reading, writing = os.pipe()
        try:
            with self._log.open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-I", "-S", reaper.__file__],
                    stdin=reading,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        finally:
            os.close(reading)
        return process, writing

    def _tell(self, line: str) -> None:
        try:
            os.write(self._pipe, line.encode())
        except BrokenPipeError:  # somebody killed the reaper: a new one guards everything that lives now
            os.close(self._pipe)
            self._process.wait()
            self._process, self._pipe = self._start()
            os.write(self._pipe, "".join(f"+{group}\n" for group in self._groups).encode())
