"""``model-store``: list, build, verify and inspect models. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from model_store.build import build as build_model
from model_store.definitions import DEFINITIONS
from model_store.errors import StoreError, UnknownDefinition
from model_store.manifest import PairParity
from model_store.show import inspection, models_table, parity_table
from model_store.steps import Progress
from model_store.store import DEFAULT_ROOT, ROOT_VARIABLE, ModelStore
from model_store.verify import verify as verify_model

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Build one model into the artefacts of TorchServe, TensorFlow Serving and ONNX Runtime, and prove them equal.",
)
out = Console()
err = Console(stderr=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False, help="One or more models.")]
StoreOption = Annotated[
    Path, typer.Option("--store", metavar="DIR", envvar=ROOT_VARIABLE, help="Where built models are.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command("list", epilog="Example:  model-store list --json")
def list_models(store: StoreOption = DEFAULT_ROOT, json: JsonOption = False) -> None:
    """List the models that are built, and those that can be."""
    models = ModelStore(store)
    manifests = [models.get(name, version).manifest for name in models.names() for version in models.versions(name)]
    buildable = [name for name in DEFINITIONS if name not in models.names()]
    if json:
        _print_json({"models": manifests, "buildable": buildable})
        return
    if manifests:
        out.print(models_table(manifests))
    else:
        out.print(f"The store {store} holds no models.", highlight=False)
    if buildable:
        out.print(f"Not built: {', '.join(buildable)}. Build with: model-store build --all", highlight=False)


@app.command(epilog="Examples:  model-store build digits-mlp    model-store build --all --force")
def build(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Build every model that ships.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Build even when nothing changed.")] = False,
    store: StoreOption = DEFAULT_ROOT,
    json: JsonOption = False,
) -> None:
    """Build models, prove that their artefacts agree, and publish them.

    A model that is up to date is left as it is. When a build fails, the store stays as it was.
    """
    wanted = _wanted(names, every, [*DEFINITIONS])
    unknown = [name for name in wanted if name not in DEFINITIONS]
    if unknown:
        raise UnknownDefinition(f"no model definition {unknown[0]!r}; one of {', '.join(DEFINITIONS)} is expected")
    results = {}
    for name in wanted:
        result = build_model(name, ModelStore(store), Progress(err), force=force)
        results[name] = {
            "status": "built" if result.built else "up to date",
            "seconds": round(result.seconds, 2),
            "directory": str(store / name / result.model.manifest.version),
            "parity": result.model.manifest.parity,
        }
        if not json:
            if result.built:
                out.print(parity_table(name, result.model.manifest.parity))
            out.print(f"{name}: {results[name]['status']} ({result.seconds:.1f} s)", highlight=False)
    if json:
        _print_json(results)


@app.command(epilog="Examples:  model-store verify digits-mlp    model-store verify --json")
def verify(names: Names = None, store: StoreOption = DEFAULT_ROOT, json: JsonOption = False) -> None:
    """Check every file's checksum and run the parity gate again; all built models by default."""
    models = ModelStore(store)
    results: dict[str, dict[str, PairParity]] = {}
    for name in names or models.names() or [*DEFINITIONS]:
        results[name] = verify_model(models.get(name), Progress(err))
        if not json:
            out.print(parity_table(name, results[name]))
            out.print(f"{name}: verified", highlight=False)
    if json:
        _print_json(results)


@app.command(epilog="Example:  model-store inspect efficientnet-lite0")
def inspect(
    name: Annotated[str, typer.Argument(help="A built model.")],
    version: Annotated[str, typer.Option(help="Its version; the latest by default.")] = "",
    store: StoreOption = DEFAULT_ROOT,
    json: JsonOption = False,
) -> None:
    """Show a model's signature, artefacts, parity and the tools it was built with."""
    model = ModelStore(store).get(name, version)
    if json:
        _print_json(model.manifest)
        return
    out.print(inspection(model))


def main() -> None:
    """Entry point: a failure is one sentence on stderr; 2 for a wrong argument, 1 for everything else."""
    try:
        app()
    except UnknownDefinition as error:
        _fail(error, 2)
    except StoreError as error:
        _fail(error, 1)


def _wanted(names: list[str] | None, every: bool, known: list[str]) -> list[str]:
    if every and names:
        raise typer.BadParameter("give names or --all, not both")
    if not every and not names:
        raise typer.BadParameter(f"give the models to build, or --all for {', '.join(known)}")
    return known if every else names or []


def _fail(error: StoreError, status: int) -> None:
    err.print(f"model-store: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
    sys.exit(status)


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


if __name__ == "__main__":
    main()
