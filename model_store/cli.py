"""``model-store``: the command line. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from model_store.batch import Outcome, build_all, verify_all
from model_store.conversion import BuildOptions
from model_store.definitions import DEFINITIONS, get_definition
from model_store.errors import InvalidImport, InvalidName, StoreError, UnknownDefinition
from model_store.importing import ImportOptions, import_recipe
from model_store.recipe import DEFAULT_MAX_BATCH, Shipped, split_name
from model_store.remove import remove
from model_store.routes import TARGETS
from model_store.show import build_summary, inspection, models_table, parity_table, verified_table
from model_store.steps import Progress
from model_store.store import DEFAULT_ROOT, ROOT_VARIABLE, ModelStore
from model_store.variants import TOLERANCES

PARTIAL = 3  # exit code: built, but not for every server that was asked for

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Build one model into the artefacts of TorchServe, TensorFlow Serving and ONNX Runtime, and prove them equal.",
)
out = Console()
err = Console(stderr=True)

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False, help="One or more models.")]
StoreOption = Annotated[
    Path, typer.Option("--store", metavar="DIR", envvar=ROOT_VARIABLE, help="Where built models are.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Build even when nothing changed.")]
OnlyOption = Annotated[
    str, typer.Option("--only", metavar="TARGETS", help=f"Some of {','.join(TARGETS)}, with commas between them.")
]
JobsOption = Annotated[int, typer.Option(min=1, help="How many models at the same time.")]
QuickOption = Annotated[
    bool, typer.Option("--quick", help="Leave out what only makes it faster: compilation and calibration.")
]
VariantOption = Annotated[
    list[str] | None,
    typer.Option("--variant", help="Also build NAME-fp16 or NAME-int8; may be repeated."),
]


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


@app.command(epilog="Examples:  model-store build digits-mlp --variant int8    model-store build --all --jobs 2")
def build(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Build every model that ships.")] = False,
    variant: VariantOption = None,
    only: OnlyOption = "",
    quick: QuickOption = False,
    force: ForceOption = False,
    jobs: JobsOption = 1,
    store: StoreOption = DEFAULT_ROOT,
    json: JsonOption = False,
) -> None:
    """Build models that ship, prove that their artefacts agree, and publish them.

    A model that is up to date is left as it is. When a build fails, the store stays as it was. Exit code 3: built, but
    not for every server.
    """
    models = ModelStore(store)
    wanted = _wanted(names, every, [*DEFINITIONS])
    options, kinds = BuildOptions(_targets(only), quick), _variants(variant)
    recipes = [_shipped(name, models) for name in wanted]
    outcome = build_all(recipes, models, Progress(err), variants=kinds, options=options, force=force, jobs=jobs)
    _report(outcome, store, json=json)


@app.command(
    "import",
    epilog="Examples:\n\n  model-store import ./net.py:build --name my-net --sample x.npy\n\n"
    "  model-store import model.keras --name my-keras    model-store import forest.joblib --name f --trust\n\n"
    "  model-store import ./net.py:Net --weights net.pt --name my-net/2 --sample x.npz --variant int8",
)
def import_model(
    source: Annotated[str, typer.Argument(help="FILE.py:NAME, .pt2, .pt, .keras, .onnx, .joblib, or a SavedModel.")],
    name: Annotated[str, typer.Option("--name", help="Name to serve it under, or NAME/VERSION.")],
    sample: Annotated[
        list[Path] | None,
        typer.Option("--sample", help=".npy, or .npz with one array an input; batch dimension first. Repeatable."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="State dict for a PyTorch class: .pt or .safetensors.")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load formats that can run code: pickles, Lambda layers.")
    ] = False,
    evaluation: Annotated[
        Path | None, typer.Option(help=".npz of inputs and their right `classes`: the accuracy is measured on it.")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Text file with one label a class.")] = None,
    processing: Annotated[Path | None, typer.Option(help="JSON with `preprocessing` and `postprocessing`.")] = None,
    asset: Annotated[list[Path] | None, typer.Option(help="A file that the processing needs. Repeatable.")] = None,
    tolerance: Annotated[float | None, typer.Option(min=0, help="Allowed absolute difference.")] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Largest batch.")] = DEFAULT_MAX_BATCH,
    description: Annotated[str, typer.Option(help="One line for people.")] = "",
    license_: Annotated[str, typer.Option("--license", help="Of the weights.")] = "not stated",
    variant: VariantOption = None,
    only: OnlyOption = "",
    quick: QuickOption = False,
    force: ForceOption = False,
    store: StoreOption = DEFAULT_ROOT,
    json: JsonOption = False,
) -> None:
    """Bring a model of your own: its signature is inferred, then it is converted, proven and published.

    The same command again builds only if something changed. Exit code 3: built, but not for every server.
    """
    given = ImportOptions(
        samples=sample or (),
        weights=weights,
        evaluation=evaluation,
        labels=labels,
        processing=processing,
        assets=asset or (),
        trust=trust,
        description=description,
        license=license_,
        max_batch_size=max_batch,
        tolerance=tolerance,
    )
    models, kinds = ModelStore(store), _variants(variant)
    recipe = import_recipe(source, name, given, models)
    options = BuildOptions(_targets(only), quick)
    outcome = build_all([recipe], models, Progress(err), variants=kinds, options=options, force=force)
    _report(outcome, store, json=json)


@app.command(epilog="Examples:  model-store verify digits-mlp    model-store verify --all --jobs 2")
def verify(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Every version of every built model.")] = False,
    jobs: JobsOption = 1,
    store: StoreOption = DEFAULT_ROOT,
    json: JsonOption = False,
) -> None:
    """Check every file's checksum and run the parity gate again."""
    models = ModelStore(store)
    wanted = [split_name(name) for name in _wanted(names, every, models.names())]
    versions = [(name, one) for name, version in wanted for one in _versions(models, name, version, every=every)]
    results, errors = verify_all(versions, models, Progress(err), jobs=jobs)
    if json:
        _print_json({f"{r.model.manifest.name}/{r.model.manifest.version}": r.summary() for r in results})
    elif results:
        out.print(verified_table(results))
    for error in errors:
        _complain(error)
    if errors:
        raise typer.Exit(1)


@app.command(epilog="Example:  model-store inspect efficientnet-lite0")
def inspect(
    name: Annotated[str, typer.Argument(help="A built model, or NAME/VERSION.")],
    store: StoreOption = DEFAULT_ROOT,
    json: JsonOption = False,
) -> None:
    """Show a model's signature, artefacts, parity and the tools it was built with."""
    model = ModelStore(store).get(*split_name(name))
    if json:
        _print_json(model.manifest)
        return
    out.print(inspection(model))


@app.command("rm", epilog="Examples:  model-store rm my-net/1    model-store rm my-net")
def remove_models(names: Names = None, store: StoreOption = DEFAULT_ROOT) -> None:
    """Remove models, or single versions of them, from the store."""
    models = ModelStore(store)
    for text in _wanted(names, False, []):
        name, version = split_name(text)
        gone = remove(models, name, version, lambda name=name: Progress(err).say(f"{name}: waiting for its build"))  # type: ignore[misc]
        out.print(f"{name}: removed version {', '.join(gone)}", highlight=False)


def main() -> None:
    """Entry point: a failure is one sentence on stderr; 2 for a wrong argument, 1 for everything else."""
    try:
        app()
    except (UnknownDefinition, InvalidName, InvalidImport) as error:
        _complain(error)
        sys.exit(2)
    except StoreError as error:
        _complain(error)
        sys.exit(1)


def _report(outcome: Outcome, store: Path, *, json: bool) -> None:
    results = outcome.results
    if json:
        _print_json({result.model.manifest.name: build_summary(result, store) for result in results})
    for result in results if not json else ():
        manifest = result.model.manifest
        if result.built:
            out.print(parity_table(manifest))
        status = "built" if result.built else "up to date"
        where = store / manifest.name / manifest.version
        out.print(f"{manifest.name}/{manifest.version}: {status} ({result.seconds:.1f} s), in {where}", highlight=False)
    incomplete = [result.model.manifest for result in results if result.model.manifest.failed]
    for manifest in incomplete:
        for target, attempts in manifest.failed.items():
            tried = "; ".join(f"{attempt.route}: {attempt.reason}" for attempt in attempts)
            _say(f"model-store: {manifest.name}: not built for {target}: {tried}", "yellow")
    for error in outcome.errors:
        _complain(error)
    if outcome.errors or incomplete:
        raise typer.Exit(1 if outcome.errors else PARTIAL)


def _shipped(text: str, models: ModelStore) -> Shipped:
    name, version = split_name(text)
    if name not in DEFINITIONS and models.versions(name):
        raise UnknownDefinition(f"{name!r} was imported: run its `model-store import` again to build it anew")
    definition = get_definition(name)
    if version and version != definition.version:
        raise UnknownDefinition(f"{name!r} ships in version {definition.version}, not {version}")
    return Shipped(name, definition.version)


def _variants(kinds: list[str] | None) -> list[str]:
    unknown = [kind for kind in kinds or () if kind not in TOLERANCES]
    if unknown:
        raise typer.BadParameter(f"--variant: {unknown[0]!r} is none of {', '.join(TOLERANCES)}")
    return kinds or []


def _versions(models: ModelStore, name: str, version: str, *, every: bool) -> list[str]:
    return models.versions(name) if every else [version or models.get(name).manifest.version]


def _targets(only: str) -> tuple[str, ...]:
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise typer.BadParameter(f"--only: {unknown[0]!r} is none of {', '.join(TARGETS)}")
    return tuple(target for target in TARGETS if not names or target in names)


def _wanted(names: list[str] | None, every: bool, known: list[str]) -> list[str]:
    if every and names:
        raise typer.BadParameter("give names or --all, not both")
    if not every and not names:
        raise typer.BadParameter("give the names of models" + (f", or --all for {', '.join(known)}" if known else ""))
    return known if every else names or []


def _complain(error: StoreError) -> None:
    _say(f"model-store: {error}", "red")


def _say(text: str, style: str) -> None:
    err.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


if __name__ == "__main__":
    main()
