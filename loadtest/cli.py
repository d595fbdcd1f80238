"""The command line of the load tester."""

from __future__ import annotations

import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from loadtest.command import (
    FAILURE,
    INTERRUPTED,
    USAGE,
    err,
    fail,
    find_model,
    find_stack,
    out,
    result_path,
    run_until_stopped,
)
from loadtest.progress import console_progress
from loadtest.report.codecs_table import codecs_table
from loadtest.report.frameworks_table import frameworks_table
from loadtest.report.html import save_page
from loadtest.report.summary_json import summary_document
from loadtest.report.table import report_tables
from loadtest.results import Report, ResultsError, load_report, save_report
from loadtest.samples import SamplesError, measured_model
from loadtest.scenarios import overhead as overhead_scenario
from loadtest.scenarios.codecs import run_codecs
from loadtest.scenarios.compare import Loads, run_compare
from loadtest.scenarios.frameworks import run_frameworks
from loadtest.stack_state import StackError
from loadtest.subject import Settings
from loadtest.summary import summarise
from loadtest.targets import Target, targets_of

app = typer.Typer(
    help="Measure model servers: response times from the schedule, exact percentiles, verdicts with intervals.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


class ViaOption(StrEnum):
    """Ways to a backend."""

    GATEWAY = "gateway"
    DIRECT = "direct"


class ProtocolOption(StrEnum):
    """Transports."""

    HTTP = "http"
    GRPC = "grpc"


Model = Annotated[str, typer.Argument(help="Name of a built model.", show_default=False)]
Store = Annotated[Path | None, typer.Option("--store", help="Model store. [default: $GATEWAY_MODEL_STORE or .models]")]
RunDirectory = Annotated[Path, typer.Option("--run-dir", help="Run directory of `gateway up`.")]
Duration = Annotated[float, typer.Option(min=0.1, help="Measured seconds for each target and load.")]
Repetitions = Annotated[int, typer.Option(min=1, help="Interleaved blocks of the duration; intervals need 6.")]
WarmUp = Annotated[float, typer.Option("--warm-up", min=0, help="Seconds of load beforehand, not counted.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Seconds after which a request has failed.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Fixes orders and arrivals. [default: a new one, printed]")]
Output = Annotated[Path, typer.Option("--output", help="Directory for the result and its page.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]


@app.command(epilog="Example: loadtest compare digits-mlp --concurrency 1,8 --duration 10")
def compare(
    model: Model,
    concurrency: Annotated[str, typer.Option(help="Requests in flight in the closed loops.")] = "1,8",
    rate: Annotated[
        float | None,
        typer.Option(min=0, help="Requests/s in the open loop; 0: none. [default: half the slowest target's capacity]"),
    ] = None,
    duration: Duration = 6.0,
    repetitions: Repetitions = 10,
    warm_up: WarmUp = 1.0,
    timeout: Timeout = 30.0,
    seed: Seed = None,
    store: Store = None,
    run_dir: RunDirectory = Path(".gateway"),
    output: Output = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Compare every backend, through the gateway and directly, over each protocol."""
    targets = _targets(model, run_dir)
    settings = Settings(duration, repetitions, warm_up, timeout, _seed(seed))
    loads = Loads(_concurrency(concurrency), rate)
    _finish(*_measure("compare", model, targets, loads, settings, store, output), as_json)


@app.command(epilog="Example: loadtest run digits-mlp --backend onnxruntime --protocol grpc --rate 500 --duration 30")
def run(
    model: Model,
    backend: Annotated[str, typer.Option(help="Name of the backend.", show_default=False)],
    via: Annotated[ViaOption, typer.Option(help="Through the gateway or straight to the backend.")] = ViaOption.GATEWAY,
    protocol: Annotated[ProtocolOption, typer.Option(help="Transport.")] = ProtocolOption.HTTP,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Closed loop: requests in flight.")] = None,
    rate: Annotated[float | None, typer.Option(min=0.001, help="Open loop: requests/s, Poisson.")] = None,
    duration: Duration = 10.0,
    repetitions: Repetitions = 10,
    warm_up: WarmUp = 1.0,
    timeout: Timeout = 30.0,
    seed: Seed = None,
    store: Store = None,
    run_dir: RunDirectory = Path(".gateway"),
    output: Output = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Measure one target, in a closed loop (--concurrency) or an open one (--rate)."""
    if (concurrency is None) == (rate is None):
        fail("give either --concurrency (closed loop) or --rate (open loop)", USAGE)
    targets = _targets(model, run_dir, backend)
    chosen = [one for one in targets if one.via == via.value and one.protocol.lower() == protocol.value]
    if not chosen:
        ways = ", ".join(f"{one.via} {one.protocol.lower()}" for one in targets)
        fail(f"backend {backend} cannot be measured {via.value} over {protocol.value}; it can over: {ways}", USAGE)
    loads = Loads((concurrency,) if concurrency else (), rate or 0)
    settings = Settings(duration, repetitions, warm_up, timeout, _seed(seed))
    _finish(*_measure("run", model, chosen, loads, settings, store, output), as_json)


@app.command(epilog="Example: loadtest overhead --backend onnxruntime --duration 10")
def overhead(
    model: Annotated[str, typer.Argument(help="Name of a built model.")] = "digits-mlp",
    backend: Annotated[str, typer.Option(help="Name of the backend.")] = "onnxruntime",
    duration: Duration = 5.0,
    repetitions: Annotated[int, typer.Option(min=6, help="Pairs of blocks the duration is split into.")] = 20,
    warm_up: WarmUp = 1.0,
    timeout: Timeout = 30.0,
    seed: Seed = None,
    store: Store = None,
    run_dir: RunDirectory = Path(".gateway"),
    output: Output = Path("reports"),
    as_json: AsJson = False,
) -> None:
    """Measure what the gateway costs: added median at 1 connection, throughput ratio at 64."""
    targets = overhead_scenario.paired(_targets(model, run_dir, backend))
    settings = Settings(duration, repetitions, warm_up, timeout, _seed(seed))
    loads = Loads((overhead_scenario.LATENCY_CONCURRENCY, overhead_scenario.THROUGHPUT_CONCURRENCY), rate=0)
    _finish(*_measure(overhead_scenario.SCENARIO, model, targets, loads, settings, store, output), as_json)


@app.command(epilog="Example: loadtest frameworks digits-mlp -n 1000 --batch 8")
def frameworks(
    model: Annotated[str, typer.Argument(help="Name of a built model.")] = "digits-mlp",
    inferences: Annotated[int, typer.Option("-n", "--inferences", min=10, help="Timed inferences.")] = 1000,
    batch: Annotated[int, typer.Option(min=1, help="Rows in each inference.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each framework.")] = 1,
    seed: Seed = None,
    store: Store = None,
    as_json: AsJson = False,
) -> None:
    """Compare PyTorch, TensorFlow and ONNX Runtime on the same net, in process."""
    stored = find_model(model, store)
    if batch > stored.manifest.max_batch_size:
        fail(f"--batch: model {model} takes at most {stored.manifest.max_batch_size} rows, not {batch}", USAGE)
    progress = console_progress(err)
    report = run_frameworks(
        stored, inferences=inferences, batch=batch, threads=threads, seed=_seed(seed), progress=progress
    )
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        out.print(frameworks_table(report))
        if report.verdict:
            typer.echo(report.verdict)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(one.problem for one in report.frameworks):
        raise typer.Exit(FAILURE)


@app.command(epilog="Example: loadtest codecs --json")
def codecs(
    rounds: Annotated[int, typer.Option(min=1, help="Blocks of each measurement; intervals need 6.")] = 11,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Measure the reading and writing of each wire form of a tensor, in process."""
    report = run_codecs(rounds=rounds, seed=_seed(seed), progress=console_progress(err))
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        out.print(codecs_table(report))


@app.command(epilog="Example: loadtest report reports/digits-mlp-20260131-120000.json")
def report(
    file: Annotated[Path, typer.Argument(help="A result file.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Print a saved result again, and make its HTML page anew."""
    try:
        saved = load_report(file)
    except ResultsError as error:
        fail(str(error), USAGE)
    _show(saved, file, as_json)


def main() -> None:
    """Entry point."""
    app()


def _seed(seed: int | None) -> int:
    return secrets.randbelow(10**6) if seed is None else seed


def _concurrency(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 512 for part in parts):
        fail(f"--concurrency: numbers from 1 to 512 such as 1,8 are expected, got {text!r}", USAGE)
    return tuple(dict.fromkeys(int(part) for part in parts))


def _targets(model: str, run_directory: Path, backend: str = "") -> list[Target]:
    stack = find_stack(run_directory, model)
    if backend and backend not in stack.backends:
        fail(f"no backend {backend!r} in the running stack; it has {', '.join(stack.backends)}", USAGE)
    try:
        return [target for target in targets_of(stack) if backend in ("", target.backend)]
    except StackError as error:
        fail(str(error), FAILURE)


def _measure(
    scenario: str,
    model: str,
    targets: list[Target],
    loads: Loads,
    settings: Settings,
    store: Path | None,
    output: Path,
) -> tuple[Report, Path]:
    try:
        measured = measured_model(find_model(model, store))
    except SamplesError as error:
        fail(str(error), FAILURE)
    path = result_path(output, model if scenario == "compare" else f"{scenario}-{model}")
    err.print(f"seed {settings.seed}")
    work = run_compare(scenario, measured, targets, loads, settings, console_progress(err))
    result = run_until_stopped(work)
    save_report(result, path)
    return result, path


def _finish(result: Report, path: Path, as_json: bool) -> None:
    _show(result, path, as_json)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(row.problem for phase in result.phases for row in summarise(result, phase)) or not result.phases:
        raise typer.Exit(FAILURE)


def _show(result: Report, path: Path, as_json: bool) -> None:
    page = path.with_suffix(".html")
    try:
        save_page(result, page)
    except OSError as error:
        fail(f"{page}: {error.strerror}", FAILURE)
    if as_json:
        document = summary_document(result)
        if result.scenario == overhead_scenario.SCENARIO:
            document["overhead"] = overhead_scenario.overheads(result)
        typer.echo(msgspec.json.encode(document).decode())
    else:
        out.print(report_tables(result))
        if result.scenario == overhead_scenario.SCENARIO:
            typer.echo(f"\n{overhead_scenario.markdown(result)}\n")
    err.print(f"Result: {path}\nPage:   {page}", soft_wrap=True, markup=False)
