"""``loadtest run``: one target under one or several loads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loadtest.commands import options as given
from loadtest.commands.carrying_out import carry_out, reporting
from loadtest.commands.choosing import Asked, choose_targets, pair_with_workloads
from loadtest.commands.ending import ends_well
from loadtest.commands.engines import Engine, work_of
from loadtest.errors import BadSpec
from loadtest.load.loads import AnyLoad, Trace
from loadtest.load.schedule import natural_seconds
from loadtest.measure.settings import Settings
from loadtest.scenarios.plan import Plan
from loadtest.statistics.convergence import parse_until

_SECONDS = 10.0
_UNTIL_SECONDS, _UNTIL_BLOCKS = 120.0, 20


@ends_well
def run(
    model: given.Model,
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
    concurrency: given.Concurrency = "",
    rate: given.Rates = "",
    load: given.LoadSpecs = None,
    max_in_flight: given.MostInFlight = 512,
    duration: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Measured seconds for each load. [default: 10; a trace's own length; 120 at most with --until]",
            show_default=False,
            rich_help_panel="How it is measured",
        ),
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            help="Stop when an interval is narrow enough, such as p99:5%.", rich_help_panel="How it is measured"
        ),
    ] = "",
    repetitions: Annotated[
        int, typer.Option(min=1, help="Blocks of the duration.", rich_help_panel="How it is measured")
    ] = 1,
    timeout: given.Timeout = 30.0,
    seed: given.SeedOption = "",
    max_errors: given.MostErrors = 0.01,
    force: given.Force = False,
    engine: Annotated[
        Engine, typer.Option(help="MLPerf's own load generator as a cross-check.", rich_help_panel="How it is measured")
    ] = Engine.OWN,
    ray: Annotated[
        str,
        typer.Option(
            help="Make the load from every node of this Ray cluster.",
            metavar="ADDRESS",
            rich_help_panel="How it is measured",
        ),
    ] = "",
    output: given.Output = Path("reports"),
    export: given.Exports = None,
    as_json: given.AsJson = False,
    fail_on: given.FailOn = "",
    baseline: given.Baseline = None,
    annotate: given.Annotate = "",
) -> None:
    """Measure one target, in closed loops (--concurrency) or open ones (--rate, --load)."""
    how = reporting(output, export, as_json, fail_on, baseline, annotate)
    stop = parse_until(until) if until else None
    loads = given.loads_of(concurrency, rate, load)
    if not loads:
        raise BadSpec("give --concurrency (closed loops), --rate (open loops) or --load")
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
    targets = choose_targets(asked)
    if len(targets) > 1:
        names = ", ".join(one.name for one in targets)
        raise BadSpec(f"run measures one target, this is {len(targets)}: {names}; choose one, or use compare")
    settings = Settings(
        seconds=duration or _seconds(loads, bool(stop)),
        repetitions=_UNTIL_BLOCKS if stop else repetitions,
        timeout=timeout,
        most_in_flight=max_in_flight,
        seeds=seeds,
    )
    plan = Plan(
        scenario="run",
        subjects=pair_with_workloads(asked, targets, seeds),
        loads=loads,
        settings=settings,
        until=stop,
        error_limit=max_errors,
        force=force or bool(ray),  # what the workers' machines can do is not known here
    )
    carry_out(plan, how, work_of(engine, ray, output))


def _seconds(loads: tuple[AnyLoad, ...], until: bool) -> float:
    traces = [natural_seconds(load) or 0.0 for load in loads if isinstance(load, Trace)]
    return max(traces, default=_UNTIL_SECONDS if until else _SECONDS)
