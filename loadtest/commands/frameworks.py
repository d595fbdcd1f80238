"""``loadtest frameworks``: the frameworks themselves, without any server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from loadtest.commands import options as given
from loadtest.commands.ending import FAILURE, INTERRUPTED, INVALID, ends_well, err, out
from loadtest.frameworks.run import run_frameworks
from loadtest.progress import console_progress
from loadtest.report.frameworks_table import frameworks_table
from model_store.originals import Given
from model_store.store import ModelStore, default_root

_MOST_ROWS = 4096


@ends_well
def frameworks(
    model: Annotated[str, typer.Argument(help="Name of a built model.")] = "digits-mlp",
    inferences: Annotated[
        int, typer.Option("-n", "--inferences", min=10, help="Timed inferences of each batch size.")
    ] = 1000,
    batch: Annotated[str, typer.Option("--batch", help="Rows in each inference; 1,8,32 sweeps.")] = "1",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each framework.")] = 1,
    original: Annotated[
        str,
        typer.Option(help="The original of an imported Keras or scikit-learn model: FILE, or FILE.py:NAME."),
    ] = "",
    trust: Annotated[bool, typer.Option("--trust", help="Load an original that is a pickle.")] = False,
    seed: given.OneSeed = None,
    store: given.Store = None,
    as_json: given.AsJson = False,
) -> None:
    """Compare PyTorch, TensorFlow, Keras, scikit-learn and ONNX Runtime on the same model, in process."""
    report = run_frameworks(
        ModelStore(store or default_root()).get(model),
        inferences=inferences,
        batches=given.numbers_of("--batch", batch, _MOST_ROWS) or (1,),
        threads=threads,
        seed=given.one_seed(seed),
        progress=console_progress(err),
        original=_given(original, trust),
    )
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
    else:
        out.print(frameworks_table(report))
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if any(one.problem for one in report.frameworks):
        raise typer.Exit(FAILURE)
    if report.invalid:
        raise typer.Exit(INVALID)


def _given(text: str, trust: bool) -> Given | None:
    """The original that ``--original`` names."""
    if not text:
        return None
    file, _, entry = text.rpartition(":") if ".py:" in text else (text, "", "")
    return Given(Path(file), entry, trust)
