"""The ``gateway`` command, which notes what it is at whenever it has used some milliseconds in user mode.

``python -m benchmarks.sampled FILE serve …``: SIGUSR1 begins, SIGUSR2 ends and writes the counts by part to FILE.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

from gateway.cli import main

_EVERY = 0.001  # seconds; the kernel rounds up to its own tick
_PACKAGES = "site-packages"


class Samples:
    """Counts by part of the program, from the first signal to the second."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._counts: Counter[str] = Counter()

    def install(self) -> None:
        """Listen to the two signals."""
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)
        signal.signal(signal.SIGVTALRM, self._note)

    def _begin(self, _: int, __: FrameType | None) -> None:
        self._counts.clear()
        signal.setitimer(signal.ITIMER_VIRTUAL, _EVERY, _EVERY)

    def _note(self, _: int, frame: FrameType | None) -> None:
        if frame is not None:
            self._counts[part_of(frame.f_code.co_filename)] += 1

    def _end(self, _: int, __: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps(self._counts), encoding="utf-8")
        temporary.replace(self._file)


def part_of(file: str) -> str:
    """Such as ``gateway.codecs``, ``hpack`` or ``Python``, for the file of a function.

    What a function calls in C (JSON, the HTTP parser, the event loop) is counted with it.
    """
    parts = Path(file).parts
    if _PACKAGES in parts:
        return parts[parts.index(_PACKAGES) + 1].removesuffix(".py")
    if "gateway" in parts:
        inside = parts[len(parts) - parts[::-1].index("gateway") :]
        return f"gateway.{inside[0].removesuffix('.py')}"
    return "Python"


if __name__ == "__main__":
    Samples(Path(sys.argv[1])).install()
    sys.argv = ["gateway", *sys.argv[2:]]
    main()
