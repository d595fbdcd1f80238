"""``loadtest search``: the highest rate that meets an SLO."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from loadtest.commands import options as given
from loadtest.commands.carrying_out import carry_out, reporting
from loadtest.commands.choosing import Asked, choose_targets, pair_with_workloads
from loadtest.commands.ending import ends_well, err
from loadtest.commands.watching import watcher_on
from loadtest.errors import BadSpec
from loadtest.measure.settings import Settings
from loadtest.progress import console_progress
from loadtest.results.report import Report
from loadtest.scenarios.plan import Plan
from loadtest.scenarios.search import search as run_search
from loadtest.search.highest_rate import Limits
from loadtest.slo import parse_slo

_HOW = "How it is searched"


@ends_well
def search(
    model: given.Model,
    slo: Annotated[str, typer.Option(help="What must hold, such as 'p99<50ms,errors<0.1%'.", show_default=False)],
    backend: given.Backends = "",
    via: given.ViaOption = given.Via.GATEWAY,
    protocol: given.ProtocolOption = given.Transport.HTTP,
    wire: given.Wires = "",
    target: given.Urls = None,
    payload: given.Payloads = None,
    shape: given.Shapes = None,
    batch: given.Batch = "1",
    store: given.Store = None,
    run_dir: given.RunDirectory = Path(".gateway"),
    start: Annotated[float, typer.Option(min=0.01, help="First rate, requests/s.", rich_help_panel=_HOW)] = 50.0,
    most: Annotated[
        float | None, typer.Option("--max-rate", min=0.01, help="Never try a higher rate.", rich_help_panel=_HOW)
    ] = None,
    precision: Annotated[
        float, typer.Option(min=0.005, max=0.5, help="Width of the answer.", rich_help_panel=_HOW)
    ] = 0.05,
    validations: Annotated[
        int, typer.Option(min=1, help="Trials with fresh arrivals that must agree.", rich_help_panel=_HOW)
    ] = 4,
    least: Annotated[
        float, typer.Option("--min-duration", min=0.5, help="Seconds of a trial, at least.", rich_help_panel=_HOW)
    ] = 5.0,
    longest: Annotated[
        float, typer.Option("--max-duration", min=0.5, help="Seconds of a trial, at most.", rich_help_panel=_HOW)
    ] = 60.0,
    max_in_flight: given.MostInFlight = 512,
    timeout: given.Timeout = 30.0,
    seed: given.SeedOption = "",
    force: given.Force = False,
    output: given.Output = Path("reports"),
    export: given.Exports = None,
    as_json: given.AsJson = False,
    annotate: given.Annotate = "",
) -> None:
    """Find the highest rate of one target that meets an SLO: double, bisect, validate with fresh arrivals."""
    wanted = parse_slo(slo)
    if least > longest:
        raise BadSpec(f"--min-duration: {least:g} is more than the --max-duration of {longest:g}")
    how = reporting(output, export, as_json, grafana=annotate)
    seeds = given.seeds_of(seed)
    asked = Asked(
        model=model,
        store=store,
        payloads=payload,
        shapes=shape,
        batch=batch,
        run_directory=run_dir,
        backends=backend,
        via=via,
        protocol=protocol,
        wires=wire,
        urls=target,
    )
    subjects = pair_with_workloads(asked, choose_targets(asked), seeds)
    if len(subjects) > 1:
        names = ", ".join(one.name for one, _ in subjects)
        raise BadSpec(f"search measures one target, this is {len(subjects)}: {names}")
    limits = Limits(
        start=start,
        ceiling=math.inf if most is None else most,
        ceiling_reason="" if most is None else f"--max-rate {most:g}",
        precision=precision,
        validations=validations,
        least_seconds=least,
        most_seconds=longest,
    )
    plan = Plan(
        scenario="search",
        subjects=subjects,
        loads=(),
        settings=Settings(seconds=longest, repetitions=1, timeout=timeout, most_in_flight=max_in_flight, seeds=seeds),
        error_limit=1.0,
        force=force,
    )

    async def work(calibrated: Plan) -> Report:
        return await run_search(calibrated, wanted, limits, progress=console_progress(err), watcher=watcher_on(err))

    carry_out(plan, how, work)
