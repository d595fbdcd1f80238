"""Putting a finished build in place: one builder at a time, one atomic swap, nothing half-done in sight.

<root>/<name>/<version>        symbolic link to the build that is served
<root>/<name>/.builds/<id>/    finished builds, and unfinished ones that nobody sees
<root>/<name>/.logs/           one log a step of the latest build
<root>/<name>/.lock            held while a build runs
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

BUILDS = ".builds"
LOGS = ".logs"
LOCK = ".lock"


@contextmanager
def build_lock(home: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the model whose folder is ``home``; call ``waiting`` once if another build has it.

    The kernel frees the lock with its process, so a killed build never blocks the next one.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / LOCK).open("wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def staging(home: Path) -> Iterator[Path]:
    """An empty folder on the store's file system, removed at the end unless it was published.

    Leftovers of killed builds, and builds that a later one replaced, are removed first: readers of a replaced
    build have had the time of one build to let go of it.
    """
    builds = home / BUILDS
    builds.mkdir(parents=True, exist_ok=True)
    for path in builds.iterdir():
        if path not in _published(home):
            shutil.rmtree(path)
    folder = builds / uuid.uuid4().hex[:12]
    folder.mkdir()
    try:
        yield folder
    finally:
        if folder not in _published(home):
            shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, home: Path, version: str) -> None:
    """Make ``folder``, one of ``home``'s builds, the one that ``home/version`` shows. Atomic."""
    link = home / f".{version}.{folder.name}"
    link.symlink_to(Path(BUILDS) / folder.name)
    os.replace(link, home / version)  # noqa: PTH105  Path.replace says the same with less


def _published(home: Path) -> list[Path]:
    return [home / BUILDS / Path(os.readlink(path)).name for path in home.iterdir() if path.is_symlink()]  # noqa: PTH115
