"""``loadtest scraping``: what it costs the gateway to be watched."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from loadtest.commands import options as given
from loadtest.commands.carrying_out import carry_out, reporting
from loadtest.commands.choosing import Asked, choose_targets, pair_with_workloads
from loadtest.commands.ending import ends_well, err
from loadtest.errors import BadSpec, StackError
from loadtest.load.loads import ClosedLoop
from loadtest.measure.settings import Settings
from loadtest.progress import console_progress
from loadtest.scenarios.plan import Plan
from loadtest.scenarios.scraping import CONCURRENCY, SCENARIO, measure_scraped, with_scraped
from loadtest.targets.stack_state import read_stack


@ends_well
def scraping(
    model: Annotated[str, typer.Argument(help="Name of a built model.")] = "digits-mlp",
    backend: given.Backends = "onnxruntime",
    protocol: given.ProtocolOption = given.Transport.HTTP,
    store: given.Store = None,
    run_dir: given.RunDirectory = Path(".gateway"),
    every: Annotated[
        str, typer.Option(help="Seconds from scrape to scrape; 1,15 tries both.", rich_help_panel="Load")
    ] = "1,15",
    duration: Annotated[
        float, typer.Option(min=0.1, help="Measured seconds for each interval.", rich_help_panel="How it is measured")
    ] = 100.0,
    repetitions: given.Pairs = 20,
    timeout: given.Timeout = 30.0,
    seed: given.SeedOption = "",
    output: given.Output = Path("reports"),
    export: given.Exports = None,
    as_json: given.AsJson = False,
) -> None:
    """Measure what scrapes of the gateway's metrics cost: throughput ratio at 64 requests in flight."""
    how = reporting(output, export, as_json)
    intervals = _seconds(every)
    seeds = given.seeds_of(seed)
    asked = Asked(
        model=model,
        store=store,
        payloads=None,
        shapes=None,
        batch="1",
        run_directory=run_dir,
        backends=backend,
        via=given.Via.GATEWAY,
        protocol=protocol,
    )
    targets = with_scraped(choose_targets(asked), intervals)
    plan = Plan(
        scenario=SCENARIO,
        subjects=pair_with_workloads(asked, targets, seeds),
        loads=[ClosedLoop(concurrency=CONCURRENCY)],
        settings=Settings(
            seconds=duration, repetitions=repetitions, timeout=timeout, most_in_flight=CONCURRENCY, seeds=seeds
        ),
    )
    metrics = read_stack(run_dir).gateway.metrics
    if not metrics:
        raise StackError("the running gateway does not say where its metrics are; start it anew with: gateway up")
    page = f"http://{metrics}/metrics"
    carry_out(plan, how, partial(measure_scraped, page=page, progress=console_progress(err)))


def _seconds(text: str) -> tuple[float, ...]:
    """Raises BadSpec unless ``text`` is a list of positive numbers."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(math.isfinite(seconds) and seconds > 0 for seconds in found):
        raise BadSpec(f"--every: seconds such as 1,15 are expected, got {text!r}")
    return found
