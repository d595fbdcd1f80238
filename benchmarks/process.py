"""A server as a process of its own, which is gone when we are done with it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.errors import CannotMeasure
from benchmarks.procfs import family
from gateway.runtime.procfs import start_time

_STOP_SECONDS = 15.0
_REST_SECONDS = 5.0  # for what it has started, once it is gone itself
_LOOK_AGAIN = 0.05
_LAST_LINES = 5


@contextlib.contextmanager
def running(
    command: Sequence[str | Path], log: Path, *, directory: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """The process, while it is wanted; what it prints goes to ``log``.

    It and all that it has started are ended afterwards: asked first, and killed after a while.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us; we end it
        )
    try:
        yield process
    finally:
        _end(process)


@contextlib.contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Nobody else measures with the files of ``folder`` meanwhile.

    Raises:
        CannotMeasure: somebody does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotMeasure(f"another run is under way in {folder}") from None
        yield


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on, each once."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def check_alive(process: subprocess.Popen[bytes], log: Path) -> None:
    """Return while ``process`` runs.

    Raises:
        CannotMeasure: it has ended; with the last that it said.
    """
    if process.poll() is not None:
        raise CannotMeasure(f"has ended with exit code {process.returncode}: {last_words(log)}")


def wait_until_listening(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Return once somebody listens on ``address`` (``host:port``).

    Raises:
        CannotMeasure: nobody does after ``seconds``, or ``process`` has ended.
    """
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + seconds
    while True:
        check_alive(process, log)
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1.0):
            return
        if time.monotonic() > deadline:
            raise CannotMeasure(f"does not listen after {seconds:.0f} s: {last_words(log)}")
        time.sleep(_LOOK_AGAIN)


def last_words(log: Path) -> str:
    """The last lines of ``log``, as one."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_LINES:]) or "(it said nothing)"


def _end(process: subprocess.Popen[bytes]) -> None:
    # A pid is handed out again, a pid with its start time is not.
    members = [(pid, start_time(pid)) for pid in family(process.pid)]
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    if _left(members, _REST_SECONDS):
        for pid in _left(members, 0.0):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _left(members, _REST_SECONDS)
    process.wait()


def _left(members: Sequence[tuple[int, int | None]], seconds: float) -> list[int]:
    """Those of ``members`` (pid and start time) that still run after ``seconds``; none as soon as none does."""
    deadline = time.monotonic() + seconds
    while True:
        left = [pid for pid, began in members if began is not None and start_time(pid) == began]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(_LOOK_AGAIN)
