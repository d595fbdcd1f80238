"""Says on stderr what is being done, once at the start of each step: nothing is redrawn while requests are timed."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console

Progress = Callable[[str], None]


def console_progress(console: Console) -> Progress:
    """Progress as one line that is overwritten on a terminal; elsewhere one line a step, without the rounds."""

    def on_terminal(title: str) -> None:
        console.file.write(f"\r\x1b[2K{title}" if title else "\r\x1b[2K")
        console.file.flush()

    said = ""

    def elsewhere(title: str) -> None:
        nonlocal said
        step, _, _ = title.partition(", round ")
        if step and step != said:
            console.print(step, highlight=False, markup=False)
            said = step

    return on_terminal if console.is_terminal else elsewhere
