"""``loadtest report``: saved results shown again, or several in one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from loadtest.commands import options as given
from loadtest.commands.carrying_out import reporting, say, write
from loadtest.commands.ending import ends_well, err, out
from loadtest.report.compare_runs import Run, labels, runs_tables
from loadtest.report.digest import digest
from loadtest.report.overlay import save_overlay
from loadtest.report.summary_json import summary_document
from loadtest.results.file import load_report


@ends_well
def report(
    files: Annotated[list[Path], typer.Argument(help="Result files.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", help="Page of several results.", rich_help_panel="Result")] = Path(
        "reports/overlay.html"
    ),
    export: given.Exports = None,
    as_json: given.AsJson = False,
) -> None:
    """Print a saved result again and make its page anew; several results are laid over each other on one page."""
    if len(files) == 1:
        path = files[0]
        made, how = digest(load_report(path)), reporting(path.parent, export, as_json)
        say(made, how)
        write(made, path, how)
        return
    runs = [Run(label, digest(load_report(path))) for label, path in zip(labels(files), files, strict=True)]
    save_overlay(runs, output)
    if as_json:
        summaries = {run.label: summary_document(run.digest) for run in runs}
        typer.echo(msgspec.json.encode(summaries).decode())
    else:
        out.print(runs_tables(runs))
    err.print(f"Wrote {output}", soft_wrap=True, markup=False, highlight=False)
