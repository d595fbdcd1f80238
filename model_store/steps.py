"""Running one heavy step of a build: its own process, its own log, a time limit, and progress on stderr."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from model_store.errors import BuildFailed, DiskFull

LEAST_FREE = 1 << 20  # bytes; a disk with less is taken for full when a step failed
TIME_LIMIT = 900.0  # seconds; the longest step takes 20 s on two cores
TIME_LIMIT_VARIABLE = "MODEL_STORE_STEP_SECONDS"


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
        outcome = "failed after"
        try:
            if self._console.is_terminal:
                with self._console.status(f"{model}: {title} …"):
                    yield
            else:
                self.say(f"{model}: {title} …")
                yield
            outcome = "done in"
        finally:
            self.say(f"{model}: {title} {outcome} {time.monotonic() - started:.1f} s")


class StepRunner:
    """Runs steps of one model's build, one after the other.

    Args:
        model: its name, for messages.
        logs: folder that keeps one log a step; a new run overwrites it.
        scratch: the steps' temporary files go here.
        progress: where to say what is running.
        time_limit: seconds one step may take; by default what the environment says, or ``TIME_LIMIT``.

    Raises:
        BuildFailed: the environment's time limit is no number of seconds.
    """

    def __init__(
        self, model: str, logs: Path, scratch: Path, progress: Progress, time_limit: float | None = None
    ) -> None:
        self._model = model
        self._logs = logs
        self._temporary = scratch / "tmp"
        self.progress = progress
        self._time_limit = _time_limit() if time_limit is None else time_limit

    def run(
        self, title: str, module: str, arguments: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> None:
        """Run ``python -m module arguments…``, with ``environment`` on top of ours.

        Raises:
            BuildFailed: it failed or took too long; the message holds its last words and where its log is.
            DiskFull: it failed, and there is no room left.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        self._temporary.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{title.lower().replace(' ', '-')}.log"
        with self.progress.step(self._model, title), log.open("wb") as output:
            # A session of its own, so that a step's own children end with it.
            process = subprocess.Popen(
                [sys.executable, "-m", "model_store.step_process", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | self._environment() | dict(environment or {}),
                start_new_session=True,
            )
            try:
                status = process.wait(self._time_limit)
            except subprocess.TimeoutExpired:
                raise BuildFailed(
                    f"{self._model}: {title} took longer than {self._time_limit:g} s "
                    f"(set {TIME_LIMIT_VARIABLE} to allow more); its log is {log}"
                ) from None
            finally:
                _end(process)
            if status:
                # Libraries say it in their own ways: "983040 requested and 305120 written".
                if shutil.disk_usage(self._temporary).free < LEAST_FREE:
                    raise DiskFull(f"{self._model}: {title} failed: the disk is full; its log is {log}")
                words = _last_words(log, status).removeprefix(f"{self._model}: ")
                raise BuildFailed(f"{self._model}: {title} failed: {words}; its log is {log}")

    def _environment(self) -> dict[str, str]:
        return {
            "TMPDIR": str(self._temporary.resolve()),
            "ORT_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "1",  # a build downloads nothing
            "KERAS_BACKEND": "tensorflow",
            # One thread: the same sums on every machine, and no spinning against whatever else runs.
            "OMP_NUM_THREADS": "1",
            "TF_NUM_INTRAOP_THREADS": "1",
            "TF_NUM_INTEROP_THREADS": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }


def _time_limit() -> float:
    text = os.environ.get(TIME_LIMIT_VARIABLE, "")
    try:
        seconds = float(text) if text else TIME_LIMIT
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise BuildFailed(f"{TIME_LIMIT_VARIABLE}={text}: a number of seconds is expected, as in 1800")
    return seconds


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_words(log: Path, status: int) -> str:
    if status < 0:
        return f"it was ended by {signal.Signals(-status).name}"
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {status}"
