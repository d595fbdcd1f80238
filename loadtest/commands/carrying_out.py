"""Calibrates, measures, saves and shows: what every measuring command does with its plan."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import typer

from loadtest.calibration.calibrate import calibrate
from loadtest.commands.annotating import annotate, check_grafana
from loadtest.commands.ending import FAILURE, INTERRUPTED, INVALID, err, out, result_path, run_until_stopped
from loadtest.commands.exporting import export
from loadtest.commands.options import Export
from loadtest.commands.watching import watcher_on
from loadtest.load.seeds import Seeds
from loadtest.progress import console_progress
from loadtest.report.baseline import regressions
from loadtest.report.digest import Digest, digest
from loadtest.report.html import save_page
from loadtest.report.summary_json import summary_document
from loadtest.report.table import report_tables
from loadtest.results.file import load_report, save_report
from loadtest.results.report import Calibration, Report
from loadtest.scenarios import overhead, scraping
from loadtest.scenarios.measure import measure
from loadtest.scenarios.plan import Plan
from loadtest.slo import Slo, metrics_of, parse_slo
from loadtest.targets.target import Protocol

Work = Callable[[Plan], Awaitable[Report]]

# Of scenarios with an answer of their own, beside the table that all have: as structures, and as Markdown.
_ANSWERS: Mapping[str, tuple[Callable[[Report], object], Callable[[Report], str]]] = {
    overhead.SCENARIO: (overhead.overheads, overhead.markdown),
    scraping.SCENARIO: (scraping.costs, scraping.markdown),
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Reporting:
    """What is made of a result.

    ``slo`` and ``baseline`` are conditions for a good ending; None for none. ``grafana`` is the URL of the one that
    shall show the run; empty for none.
    """

    output: Path
    exports: Sequence[Export]
    as_json: bool
    slo: Slo | None = None
    baseline: Report | None = None
    grafana: str = ""


def reporting(
    output: Path,
    exports: Sequence[Export] | None,
    as_json: bool,
    fail_on: str = "",
    baseline: Path | None = None,
    grafana: str = "",
) -> Reporting:
    """Read the options, before any time is spent on measuring.

    Raises:
        Unusable: one cannot be read.
    """
    if grafana:
        check_grafana(grafana)
    return Reporting(
        output=output,
        exports=exports or (),
        as_json=as_json,
        slo=parse_slo(fail_on) if fail_on else None,
        baseline=load_report(baseline) if baseline else None,
        grafana=grafana,
    )


def carry_out(plan: Plan, how: Reporting, work: Work | None = None) -> None:
    """Measure ``plan`` (with ``work``, if it is another way than usual), save and show the result, and end.

    Raises:
        Unusable: a rate is too high, or the result cannot be written.
        typer.Exit: with the exit code, unless all is well.
    """
    names = "+".join(dict.fromkeys(model.name for workload in plan.workloads for model in workload.models))
    stem = names if plan.scenario == "compare" else f"{plan.scenario}-{names}"
    path = result_path(how.output, stem.replace("/", "-"))
    say_seeds(plan.settings.seeds)
    report = run_until_stopped(_calibrated(plan, work or _usual))
    made = digest(report)
    say(made, how)  # first: a disk that is full by now must not cost the numbers
    save_report(report, path)
    write(made, path, how)
    mark(made, how)
    end(made, how)


def say(made: Digest, how: Reporting) -> None:
    """Print ``made``."""
    report = made.report
    answer = _ANSWERS.get(report.scenario)
    if how.as_json:
        document = msgspec.to_builtins(summary_document(made))
        if answer:
            document[report.scenario] = msgspec.to_builtins(answer[0](report))
        typer.echo(msgspec.json.encode(document).decode())
        return
    out.print(report_tables(made))
    if answer:
        typer.echo(f"\n{answer[1](report)}\n")


def write(made: Digest, path: Path, how: Reporting) -> None:
    """Write the page and the exports of ``made`` beside the result file ``path``.

    Raises:
        ResultsError: the directory or the disk does not take one.
    """
    page = path.with_suffix(".html")
    save_page(made, page)
    for file in (path, page, *(file for form in how.exports for file in export(made, form, path))):
        err.print(f"Wrote {file}", soft_wrap=True, markup=False, highlight=False)


def mark(made: Digest, how: Reporting) -> None:
    """Mark ``made`` in Grafana; one that is away costs a warning and not the run."""
    problem = asyncio.run(annotate(made, how.grafana)) if how.grafana else ""
    if problem:
        err.print(f"Not marked in Grafana: {problem}", style="yellow", markup=False, soft_wrap=True)


def end(made: Digest, how: Reporting) -> None:
    """Raise typer.Exit with the code that ``made`` deserves, after saying which conditions it does not meet."""
    report = made.report
    broken = [
        f"{row.name}, {load.title}: {violation}"
        for load, row in made.rows()
        if how.slo
        for violation in how.slo.check(metrics_of(row))
    ]
    if how.baseline is not None:
        broken += regressions(made, digest(how.baseline))
    for sentence in broken:
        err.print(f"✗ {sentence}", style="red", markup=False, soft_wrap=True)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if broken or any(target.problem for target in report.targets) or not report.loads:
        raise typer.Exit(FAILURE)
    if not made.valid:
        raise typer.Exit(INVALID)


def say_seeds(seeds: Seeds) -> None:
    """The seeds on stderr, as ``--seed`` takes them."""
    err.print(f"--seed {seeds.arrivals},{seeds.samples},{seeds.payloads} (arrivals, samples, payloads)")


async def calibrations(transports: Sequence[Protocol], *, lag: bool = False) -> tuple[Calibration, ...]:
    """What the generator can do on this machine over each of ``transports``; with ``lag`` also how late it sends."""
    return tuple([await calibrate(transport, lag=lag) for transport in dict.fromkeys(transports)])


async def _calibrated(plan: Plan, work: Work) -> Report:
    progress = console_progress(err)
    progress("Measuring what this tester itself can do")
    found = await calibrations([target.protocol for target, _ in plan.subjects if not target.problem])
    progress("")
    for one in found:
        err.print(
            f"This tester over {one.transport}: at most {one.ceiling:,.0f} requests/s, "
            f"p50 {one.floor_p50 * 1000:.3f} ms against a server that does nothing"
        )
    plan = replace(plan, calibrations=found)
    plan.check_rates()
    return await work(plan)


async def _usual(plan: Plan) -> Report:
    return await measure(plan, progress=console_progress(err), watcher=watcher_on(err))
