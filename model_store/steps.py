"""Running one heavy step of a build: its own process, its own log, a time limit, and progress on stderr."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from model_store.errors import BuildFailed

LEAST_FREE = 1 << 20  # bytes; a disk with less is taken for full when a step failed
TIME_LIMIT = 900.0  # seconds; the longest step takes 20 s on two cores


class Progress:
    """Says on stderr what is running: a spinner on a terminal, plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, message: str) -> None:
        """Print one line."""
        self._console.print(message, highlight=False, soft_wrap=True)

    @contextmanager
    def step(self, model: str, title: str) -> Iterator[None]:
        """Show ``title`` while the block runs, and how long it took once it is done."""
        started = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"{model}: {title} …"):
                yield
        else:
            self.say(f"{model}: {title} …")
            yield
        self.say(f"{model}: {title} done in {time.monotonic() - started:.1f} s")


class StepRunner:
    """Runs steps of one model's build, one after the other.

    Args:
        model: its name, for messages.
        logs: folder that keeps one log a step; a new run overwrites it.
        scratch: the steps' temporary files go here.
        progress: where to say what is running.
        time_limit: seconds one step may take.
    """

    def __init__(
        self, model: str, logs: Path, scratch: Path, progress: Progress, time_limit: float = TIME_LIMIT
    ) -> None:
        self._model = model
        self._logs = logs
        self._temporary = scratch / "tmp"
        self._progress = progress
        self._time_limit = time_limit

    def run(self, title: str, module: str, arguments: Sequence[str | Path]) -> None:
        """Run ``python -m module arguments…``.

        Raises:
            BuildFailed: it failed or took too long; the message holds its last words and where its log is.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        self._temporary.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{title.lower().replace(' ', '-')}.log"
        with self._progress.step(self._model, title), log.open("wb") as output:
            # A session of its own, so that a step's own children end with it.
            process = subprocess.Popen(
                [sys.executable, "-m", "model_store.step_process", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(self._temporary.resolve()), "ORT_DISABLE_TELEMETRY": "1"},
                start_new_session=True,
            )
            try:
                status = process.wait(self._time_limit)
            except subprocess.TimeoutExpired:
                raise BuildFailed(
                    f"{self._model}: {title} took longer than {self._time_limit:.0f} s; its log is {log}"
                ) from None
            finally:
                _end(process)
        if status:
            # Libraries say it in their own ways: "983040 requested and 305120 written".
            full = shutil.disk_usage(self._temporary).free < LEAST_FREE
            reason = "the disk is full" if full else _last_words(log, status)
            raise BuildFailed(f"{self._model}: {title} failed: {reason}; its log is {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_words(log: Path, status: int) -> str:
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {status}"
