"""``loadtest overhead``: what the gateway costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from loadtest.commands import options as given
from loadtest.commands.carrying_out import carry_out, reporting
from loadtest.commands.choosing import Asked, choose_targets, pair_with_workloads
from loadtest.commands.ending import ends_well
from loadtest.load.loads import ClosedLoop
from loadtest.measure.settings import Settings
from loadtest.scenarios.overhead import LATENCY_CONCURRENCY, SCENARIO, THROUGHPUT_CONCURRENCY, paired
from loadtest.scenarios.plan import Plan


@ends_well
def overhead(
    model: Annotated[str, typer.Argument(help="Name of a built model.")] = "digits-mlp",
    backend: given.Backends = "onnxruntime",
    store: given.Store = None,
    run_dir: given.RunDirectory = Path(".gateway"),
    duration: Annotated[
        float, typer.Option(min=0.1, help="Measured seconds for each way.", rich_help_panel="How it is measured")
    ] = 5.0,
    repetitions: given.Pairs = 20,
    timeout: given.Timeout = 30.0,
    seed: given.SeedOption = "",
    output: given.Output = Path("reports"),
    export: given.Exports = None,
    as_json: given.AsJson = False,
    annotate: given.Annotate = "",
) -> None:
    """Measure what the gateway costs: added median at 1 connection, throughput ratio at 64."""
    how = reporting(output, export, as_json, grafana=annotate)
    seeds = given.seeds_of(seed)
    asked = Asked(
        model=model, store=store, payloads=None, shapes=None, batch="1", run_directory=run_dir, backends=backend
    )
    plan = Plan(
        scenario=SCENARIO,
        subjects=pair_with_workloads(asked, paired(choose_targets(asked)), seeds),
        loads=[ClosedLoop(concurrency=LATENCY_CONCURRENCY), ClosedLoop(concurrency=THROUGHPUT_CONCURRENCY)],
        settings=Settings(
            seconds=duration,
            repetitions=repetitions,
            timeout=timeout,
            most_in_flight=THROUGHPUT_CONCURRENCY,
            seeds=seeds,
        ),
    )
    carry_out(plan, how)
