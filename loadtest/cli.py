"""The command line of the load tester."""

from __future__ import annotations

from collections.abc import Callable

import typer

from loadtest.commands.calibrate import calibrate
from loadtest.commands.codecs import codecs
from loadtest.commands.compare import compare
from loadtest.commands.frameworks import frameworks
from loadtest.commands.overhead import overhead
from loadtest.commands.report import report
from loadtest.commands.run import run
from loadtest.commands.scraping import scraping
from loadtest.commands.search import search

app = typer.Typer(
    help="Measure model servers: response times from the schedule, exact percentiles, verdicts with intervals.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: tuple[tuple[Callable[..., None], str], ...] = (
    (run, "loadtest run digits-mlp --backend onnxruntime --protocol grpc --rate 500 --duration 30"),
    (compare, "loadtest compare digits-mlp --concurrency 1,8 --duration 10"),
    (search, "loadtest search digits-mlp --backend onnxruntime --slo 'p99<50ms,errors<0.1%'"),
    (overhead, "loadtest overhead --backend onnxruntime --duration 10"),
    (scraping, "loadtest scraping --every 1"),
    (frameworks, "loadtest frameworks digits-mlp -n 1000 --batch 1,8"),
    (codecs, "loadtest codecs --json"),
    (calibrate, "loadtest calibrate"),
    (report, "loadtest report reports/digits-mlp-20260131-120000.json"),
)
for _command, _example in _COMMANDS:
    app.command(epilog=f"Example: {_example}")(_command)


def main() -> None:
    """Entry point."""
    app()
