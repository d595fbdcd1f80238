from __future__ import annotations

import io

from rich.console import Console

from loadtest.progress import console_progress


def said(*titles: str, terminal: bool) -> str:
    out = io.StringIO()
    progress = console_progress(Console(file=out, force_terminal=terminal, width=80))
    for title in titles:
        progress(title)
    return out.getvalue()


def test_a_line_a_step_without_a_terminal() -> None:
    assert (
        said("warm up", "closed, round 1", "closed, round 2", "", "open", terminal=False) == "warm up\nclosed\nopen\n"
    )


def test_one_line_that_is_overwritten_on_a_terminal() -> None:
    assert said("a", "b", "", terminal=True) == "\r\x1b[2Ka\r\x1b[2Kb\r\x1b[2K"


def test_names_are_no_markup() -> None:
    assert said("[bold]x[/bold] [unknown]", terminal=False) == "[bold]x[/bold] [unknown]\n"
