"""``loadtest calibrate``: what the load tester itself can do on this machine."""

from __future__ import annotations

import msgspec
import typer

from loadtest.commands import options as given
from loadtest.commands.carrying_out import calibrations
from loadtest.commands.ending import ends_well, err, out, run_until_stopped
from loadtest.progress import console_progress
from loadtest.report.calibration_table import calibration_table
from loadtest.targets.target import Protocol


@ends_well
def calibrate(protocol: given.ProtocolOption = given.Transport.BOTH, as_json: given.AsJson = False) -> None:
    """Measure the tester against a server that does nothing: its ceiling, and the least time it can see."""
    progress = console_progress(err)
    progress("Measuring what this tester itself can do")
    transports: tuple[Protocol, ...] = ("HTTP", "gRPC")
    chosen = [name for name in transports if protocol in (given.Transport.BOTH, name.lower())]
    found = run_until_stopped(calibrations(chosen, lag=True))
    progress("")
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        out.print(calibration_table(found))
