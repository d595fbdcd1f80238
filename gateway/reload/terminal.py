"""What SIGHUP means: that the configuration is to be read anew, or that the terminal is gone."""

from __future__ import annotations

import os
import signal

# As this process was started, such as by nohup, which then outlives its terminal.
_HANGUPS_IGNORED = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


class Terminal:
    """The terminal that this process was started in, and is to end with, if any."""

    def __init__(self) -> None:
        self._had_one = not _HANGUPS_IGNORED and _has_terminal()

    @property
    def is_gone(self) -> bool:
        """Whether there was one and is none any more: then a hangup is just that."""
        return self._had_one and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
