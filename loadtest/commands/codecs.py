"""``loadtest codecs``: what the gateway's codecs cost."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from loadtest.codecs.benchmark import run_codecs
from loadtest.commands import options as given
from loadtest.commands.ending import ends_well, err, out
from loadtest.progress import console_progress
from loadtest.report.codecs_table import codecs_table


@ends_well
def codecs(
    rounds: Annotated[int, typer.Option(min=1, help="Blocks of each measurement; intervals need 6.")] = 11,
    seed: given.OneSeed = None,
    as_json: given.AsJson = False,
) -> None:
    """Measure the reading and writing of each wire form of a tensor, in process."""
    report = run_codecs(rounds=rounds, seed=given.one_seed(seed), progress=console_progress(err))
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        out.print(codecs_table(report))
