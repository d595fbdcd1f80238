"""The process of one step: ends when the build ends, however that happens, and fails with one sentence."""

from __future__ import annotations

import ctypes
import importlib
import os
import re
import signal
import sys
import traceback

PR_SET_PDEATHSIG = 1
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main() -> None:
    """Run the ``main`` of the module that the first argument names, with the other arguments as its own."""
    die_with_parent()
    module = sys.argv[1]
    sys.argv[:2] = [module]
    status = 0
    try:
        importlib.import_module(module).main()
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # whatever a user's code may raise
        status = 1
        traceback.print_exc()
        sys.stdout.flush()  # before the sentence: the build quotes the last line of the log
        print(_sentence(error), file=sys.stderr)  # noqa: T201
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a thread that a user's code started would keep the process for ever


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent is killed, even by SIGKILL and in the midst of a long call."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _sentence(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the model's code ended the program with sys.exit({error.code!r}), and must not"
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name!r} is not installed"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(_COLOURS.sub("", str(error)).split())[:500] or type(error).__name__


if __name__ == "__main__":
    main()
