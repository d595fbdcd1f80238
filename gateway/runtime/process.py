"""One run of one command, in a session of its own, that leaves nothing behind when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from gateway.runtime.hanging import LAST_WORDS_SECONDS
from gateway.runtime.launch import Launch
from gateway.runtime.procfs import group_members
from gateway.runtime.reaper_client import Reaper

_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1


class Process:
    """A running server and everything it spawned: one process group, guarded by the reaper.

    Attributes:
        pid: of the server itself, which is also its process group.
        ended: gives the exit status (negative: the signal) once the server and its whole group are gone.
    """

    def __init__(self, launch: Launch, output: BinaryIO | int, reaper: Reaper) -> None:
        """Start it; must run in the event loop's thread. Raises OSError when the program cannot be started."""
        self._reaper = reaper
        self._popen = subprocess.Popen(
            launch.command,
            cwd=launch.directory,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_ends_with_its_parent(),  # noqa: PLW1509 (the supervisor has no other thread)
        )
        self.pid = self._popen.pid
        reaper.guard(self.pid)
        self.ended = asyncio.create_task(self._follow(), name=f"process {launch.name}")

    async def stop(self, grace: float, hurry: asyncio.Event) -> None:
        """SIGTERM to the server, SIGKILL to its group ``grace`` seconds later, or at once on ``hurry``."""
        self._popen.terminate()
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait({self.ended, hurried}, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not self.ended.done():
            _signal_group(self.pid, signal.SIGKILL)
        await asyncio.shield(self.ended)

    async def abort(self) -> int:
        """End it now, and return its exit status; where it can, it writes first what all its threads do."""
        self._popen.send_signal(signal.SIGABRT)
        try:
            await asyncio.wait({self.ended}, timeout=LAST_WORDS_SECONDS)
        finally:
            if not self.ended.done():
                _signal_group(self.pid, signal.SIGKILL)
        return await asyncio.shield(self.ended)

    async def _follow(self) -> int:
        await _process_end(self.pid)
        status = self._popen.wait()  # at once: it has ended
        # Servers leave workers behind when they crash; those hold ports and memory that the next run needs.
        while group_members(self.pid):
            _signal_group(self.pid, signal.SIGKILL)
            await asyncio.sleep(_POLL_SECONDS)
        self._reaper.release(self.pid)
        return status


def describe_exit(status: int) -> str:
    """How a process ended: ``exit code 3`` or ``killed by SIGKILL``."""
    if status >= 0:
        return f"exit code {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def open_log(path: Path, first_line: str) -> BinaryIO | int:
    """``path`` opened for appending, with ``first_line`` written; a log that cannot be written is done without."""
    try:
        log = path.open("ab", buffering=0)
    except OSError:
        return subprocess.DEVNULL
    with contextlib.suppress(OSError):  # a full disk must not keep a server from starting
        log.write(f"{first_line}\n".encode())
    return log


async def _process_end(pid: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(pid)
    try:
        loop.add_reader(descriptor, ended.set)
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
        os.killpg(group, number)


def _ends_with_its_parent() -> Callable[[], None]:
    """What a child does before its program starts: ask for SIGTERM when the supervisor dies, reaper or not."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # loaded here: nothing but the call may happen after the fork

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask
