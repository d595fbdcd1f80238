"""The process of one step: ends when the build ends, however that happens, and fails with one sentence."""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import sys
import traceback

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the ``main`` of the module that the first argument names, with the other arguments as its own."""
    _die_with_parent()
    module = sys.argv[1]
    sys.argv[:2] = [module]
    try:
        importlib.import_module(module).main()
    except Exception as error:
        traceback.print_exc()
        print(_sentence(error), file=sys.stderr)  # noqa: T201  the build quotes the last line of the log
        sys.exit(1)


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the build is killed, even by SIGKILL."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _sentence(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name!r} is not installed"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(str(error).split())[:500] or type(error).__name__


if __name__ == "__main__":
    main()
