"""A virtual environment for each server of other people, apart from ours: what they need would not fit together."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.errors import CannotMeasure
from benchmarks.process import last_words

_INSTALL_SECONDS = 900.0
_STAMP = ".ready"


@dataclass(slots=True, frozen=True)
class Environment:
    """One at ``directory``."""

    directory: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.program("python")

    def program(self, name: str) -> Path:
        """Where a program that a package has installed is."""
        return self.directory.absolute() / "bin" / name


def environment(directory: Path, requirements: Sequence[str]) -> Environment:
    """The environment at ``directory`` with ``requirements`` in it; installed unless it has just these.

    Raises:
        CannotMeasure: pip does not install them.
    """
    made = Environment(directory)
    stamp, log = directory / _STAMP, directory / "install.log"
    wanted = "\n".join(requirements)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return made
    stamp.unlink(missing_ok=True)
    directory.mkdir(parents=True, exist_ok=True)
    options = ["--disable-pip-version-check", "--progress-bar", "off"]
    with log.open("w", encoding="utf-8") as output:
        for command in (
            [sys.executable, "-m", "venv", str(directory)],
            [str(made.python), "-m", "pip", "install", *options, *requirements],
        ):
            _run(command, output.fileno(), log)
    stamp.write_text(wanted, encoding="utf-8")
    return made


def our_version(package: str) -> str:
    """The requirement that is met by what is installed here."""
    return f"{package}=={metadata.version(package)}"


def _run(command: Sequence[str], output: int, log: Path) -> None:
    try:
        done = subprocess.run(command, stdout=output, stderr=output, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CannotMeasure(f"is not installed after {_INSTALL_SECONDS:.0f} s; see {log}") from None
    if done.returncode:
        raise CannotMeasure(f"cannot be installed: {last_words(log)}")
