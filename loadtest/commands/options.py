"""The options that commands share, each said once."""

from __future__ import annotations

import secrets
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from loadtest.errors import BadSpec
from loadtest.load.loads import AnyLoad, ClosedLoop, Poisson
from loadtest.load.seeds import Seeds
from loadtest.load.spec import parse_load

_MOST_CALLERS = 4096


class Via(StrEnum):
    """Ways to a backend."""

    GATEWAY = "gateway"
    DIRECT = "direct"
    BOTH = "both"


class Transport(StrEnum):
    """Transports."""

    HTTP = "http"
    GRPC = "grpc"
    BOTH = "both"


class Export(StrEnum):
    """Further forms of a result."""

    CSV = "csv"
    REQUESTS = "requests"
    MARKDOWN = "markdown"
    HISTOGRAMS = "hdr"


_WHAT, _LOAD, _HOW, _OUT = "What is asked", "Load", "How it is measured", "Result"

Model = Annotated[
    str, typer.Argument(help="A model, or a weighted mix such as digits-mlp:3,minilm:1.", show_default=False)
]
Store = Annotated[
    Path | None,
    typer.Option("--store", help="Model store. [default: $GATEWAY_MODEL_STORE or .models]", rich_help_panel=_WHAT),
]
Payloads = Annotated[
    list[str] | None,
    typer.Option(
        "--payload",
        help="A file (.npy .npz .json, picture, text) or random:N, instead of the model's samples. Repeatable.",
        rich_help_panel=_WHAT,
    ),
]
Shapes = Annotated[
    list[str] | None,
    typer.Option("--shape", help="Dimensions of random payloads, such as tokens:1x128.", rich_help_panel=_WHAT),
]
Batch = Annotated[str, typer.Option("--batch", help="Rows in each request; 1,4,8 sweeps.", rich_help_panel=_WHAT)]
RunDirectory = Annotated[Path, typer.Option("--run-dir", help="Run directory of `gateway up`.", rich_help_panel=_WHAT)]
Backends = Annotated[
    str, typer.Option("--backend", help="Backends of the running stack, such as a,b.", rich_help_panel=_WHAT)
]
ViaOption = Annotated[Via, typer.Option("--via", help="Through the gateway or direct.", rich_help_panel=_WHAT)]
ProtocolOption = Annotated[Transport, typer.Option("--protocol", help="Transport.", rich_help_panel=_WHAT)]
Wires = Annotated[
    str,
    typer.Option("--wire", help="Message formats: oip, oip-json, tfserving, torchserve.", rich_help_panel=_WHAT),
]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        help="Any server instead of the stack's, such as oip+grpc://host:8001 or name=tfserving+http://host:8501.",
        rich_help_panel=_WHAT,
    ),
]

Concurrency = Annotated[
    str, typer.Option("--concurrency", help="Closed loops: requests in flight; 1,8,64 sweeps.", rich_help_panel=_LOAD)
]
Rates = Annotated[
    str, typer.Option("--rate", help="Open loops: requests/s (Poisson); 100,200 sweeps.", rich_help_panel=_LOAD)
]
LoadSpecs = Annotated[
    list[str] | None,
    typer.Option(
        "--load",
        help="closed:8, constant:R, poisson:R, bursts:RxN, steps:R,R, ramp:R-R, trace:FILE; MLPerf's single-stream, "
        "multi-stream:N, server:R, offline:N. Repeatable.",
        rich_help_panel=_LOAD,
    ),
]
MostInFlight = Annotated[
    int,
    typer.Option("--max-in-flight", min=1, help="Bound of open loops; a breach voids.", rich_help_panel=_LOAD),
]

Timeout = Annotated[
    float, typer.Option("--timeout", min=0.01, help="Seconds after which a request failed.", rich_help_panel=_HOW)
]
SeedOption = Annotated[
    str,
    typer.Option(
        "--seed",
        help="One number, or three: arrivals,samples,payloads. [default: new ones, printed]",
        show_default=False,
        rich_help_panel=_HOW,
    ),
]
OneSeed = Annotated[int | None, typer.Option("--seed", min=0, help="Fixes orders. [default: a new one, printed]")]
Force = Annotated[
    bool, typer.Option("--force", help="Allow rates above 70 % of the tester's own ceiling.", rich_help_panel=_HOW)
]
MostErrors = Annotated[
    float,
    typer.Option("--max-errors", min=0, max=1, help="Share of failures of a valid run.", rich_help_panel=_HOW),
]
Restart = Annotated[
    str,
    typer.Option(
        "--restart",
        help="Shell command that starts the servers anew between outer repetitions.",
        rich_help_panel=_HOW,
    ),
]
Restarts = Annotated[
    int, typer.Option("--restarts", min=1, help="Outer repetitions (needs --restart).", rich_help_panel=_HOW)
]

Output = Annotated[Path, typer.Option("--output", help="Directory for result and page.", rich_help_panel=_OUT)]
Exports = Annotated[
    list[Export] | None,
    typer.Option(
        "--export", help="Further files: csv, every request as CSV, Markdown, .hgrm and .hlog.", rich_help_panel=_OUT
    ),
]
Pairs = Annotated[int, typer.Option("--repetitions", min=6, help="Pairs of blocks.", rich_help_panel=_HOW)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.", rich_help_panel=_OUT)]
FailOn = Annotated[
    str,
    typer.Option("--fail-on", help="Exit 1 unless it holds, such as 'p99<25ms,errors<0.1%'.", rich_help_panel=_OUT),
]
Baseline = Annotated[
    Path | None,
    typer.Option("--baseline", help="Earlier result; exit 1 when this one is worse.", rich_help_panel=_OUT),
]

Annotate = Annotated[
    str,
    typer.Option(
        "--annotate",
        help="Mark the run in this Grafana, with $GRAFANA_TOKEN, or http://user:pass@host:3000.",
        metavar="URL",
        rich_help_panel=_OUT,
    ),
]


def one_seed(seed: int | None) -> int:
    """``seed``, or a new one."""
    return secrets.randbelow(10**6) if seed is None else seed


def seeds_of(text: str) -> Seeds:
    """The seeds that ``--seed`` says; new ones when it says nothing.

    Raises:
        BadSpec: neither one number nor three.
    """
    if not text:
        return Seeds.of(one_seed(None))
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 3) or not all(part.isascii() and part.isdigit() for part in parts):
        raise BadSpec(f"--seed: a number such as 7, or three such as 1,2,3 are expected, got {text!r}")
    return Seeds.of(int(parts[0])) if len(parts) == 1 else Seeds(*(int(part) for part in parts))


def loads_of(concurrency: str, rate: str, specs: list[str] | None) -> tuple[AnyLoad, ...]:
    """Every load that was asked for, each once, in the order closed loops, open loops, ``--load``.

    Raises:
        BadSpec: one cannot be read.
    """
    callers = numbers_of("--concurrency", concurrency, _MOST_CALLERS)
    closed: list[AnyLoad] = [ClosedLoop(concurrency=count) for count in callers]
    rates: list[AnyLoad] = [_poisson(part) for part in rate.split(",") if part.strip()]
    loads = [*closed, *rates, *(parse_load(spec) for spec in specs or ())]
    return tuple({load.spec: load for load in loads}.values())


def numbers_of(option: str, text: str, most: int) -> tuple[int, ...]:
    """The positive numbers of a list such as ``1,8``, each once.

    Raises:
        BadSpec: something else is in it.
    """
    parts = [part.strip() for part in text.split(",")] if text.strip() else []
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= most for part in parts):
        raise BadSpec(f"{option}: numbers from 1 to {most} such as 1,8 are expected, got {text!r}")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _poisson(text: str) -> Poisson:
    try:
        load = parse_load(f"poisson:{text.strip()}")
    except BadSpec:
        raise BadSpec(f"--rate: requests a second such as 500 are expected, got {text.strip()!r}") from None
    assert isinstance(load, Poisson)  # noqa: S101
    return load
