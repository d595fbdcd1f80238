"""``loadtest compare``: several targets under the same loads, in turns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loadtest.commands import options as given
from loadtest.commands.carrying_out import carry_out, reporting
from loadtest.commands.choosing import Asked, choose_targets, pair_with_workloads
from loadtest.commands.ending import ends_well
from loadtest.errors import BadSpec
from loadtest.measure.settings import Settings
from loadtest.scenarios.plan import Plan

_CALLERS = "1,8"


@ends_well
def compare(
    model: given.Model,
    backend: given.Backends = "",
    via: given.ViaOption = given.Via.BOTH,
    protocol: given.ProtocolOption = given.Transport.BOTH,
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
        float,
        typer.Option(min=0.1, help="Measured seconds for each target and load.", rich_help_panel="How it is measured"),
    ] = 6.0,
    repetitions: Annotated[
        int,
        typer.Option(
            min=1, help="Interleaved blocks of the duration; verdicts need 6.", rich_help_panel="How it is measured"
        ),
    ] = 10,
    restart: given.Restart = "",
    restarts: given.Restarts = 1,
    timeout: given.Timeout = 30.0,
    seed: given.SeedOption = "",
    max_errors: given.MostErrors = 0.01,
    force: given.Force = False,
    output: given.Output = Path("reports"),
    export: given.Exports = None,
    as_json: given.AsJson = False,
    fail_on: given.FailOn = "",
    baseline: given.Baseline = None,
    annotate: given.Annotate = "",
) -> None:
    """Compare every backend, through the gateway and directly, over each protocol.

    Without a load: closed loops of 1 and 8, then an open loop at half of the slowest target's capacity.
    """
    if bool(restart) != (restarts > 1):
        raise BadSpec("--restart needs --restarts of 2 or more, and --restarts needs --restart")
    how = reporting(output, export, as_json, fail_on, baseline, annotate)
    loads = given.loads_of(concurrency, rate, load)
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
    plan = Plan(
        scenario="compare",
        subjects=pair_with_workloads(asked, choose_targets(asked), seeds),
        loads=loads or given.loads_of(_CALLERS, "", None),
        settings=Settings(
            seconds=duration, repetitions=repetitions, timeout=timeout, most_in_flight=max_in_flight, seeds=seeds
        ),
        half_rate=not loads,
        restart=restart,
        restarts=restarts,
        error_limit=max_errors,
        force=force,
    )
    carry_out(plan, how)
