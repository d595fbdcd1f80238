"""Manifests as tables for an 80-column terminal, and as documents for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from model_store.build import BuildResult
from model_store.conversion import ENGINE_OF
from model_store.manifest import Manifest, TensorEntry
from model_store.parity.difference import SOURCE, Difference
from model_store.routes import TARGETS
from model_store.store import StoredModel
from model_store.verify import Verified

TITLES = {"onnx": "ONNX", "tensorflow": "TensorFlow", "torchserve": "TorchServe"}


def models_table(manifests: Sequence[Manifest]) -> Table:
    """One line a built model."""
    table = _table("Model", "From", "Size", "Max diff", "Built")
    for manifest in manifests:
        size = sum(artifact.bytes for artifact in manifest.artifacts.values())
        worst = max((pair.max_abs for name, pair in manifest.parity.items() if _with_source(name)), default=0.0)
        origin = "variant" if manifest.origin.variant_of else manifest.origin.framework
        table.add_row(f"{manifest.name}/{manifest.version}", origin, _size(size), f"{worst:.1e}", manifest.created[:10])
    return table


def parity_table(manifest: Manifest) -> Table:
    """One line an artefact: how far it is from the source, how good and how fast."""
    accurate = any(artifact.accuracy is not None for artifact in manifest.artifacts.values())
    columns = ("Server", "Route", "Max abs", "ULP", "Top-1", "p50 ms", *(["Accuracy"] if accurate else []))
    table = _table(*columns, title=_title(manifest))
    for target, artifact in manifest.artifacts.items():
        pair = manifest.parity[f"{SOURCE}-{ENGINE_OF[target]}"]
        row = [TITLES[target], artifact.route, f"{pair.max_abs:.1e}", f"{pair.max_ulp:.3g}"]
        row += [f"{pair.top1_agreement:.1%}", _milliseconds(artifact.latency_ms)]
        table.add_row(*row, *([_share(artifact.accuracy)] if accurate else []))
    for target in manifest.failed:
        table.add_row(TITLES[target], "[red]not built[/red]")
    return table


def verified_table(results: Sequence[Verified]) -> Table:
    """One line a model, one column a server: the largest absolute difference from the source, measured now."""
    table = _table("Model", "Source", *(TITLES[target] for target in TARGETS), title="Differences from the source")
    for result in results:
        manifest = result.model.manifest
        cells = [_cell(manifest, target, result.differences) for target in TARGETS]
        table.add_row(f"{manifest.name}/{manifest.version}", escape(manifest.origin.source), *cells)
    return table


def build_summary(result: BuildResult, store: Path) -> dict[str, Any]:
    """What a program may want to know of a build."""
    manifest = result.model.manifest
    return {
        "status": "built" if result.built else "up to date",
        "seconds": round(result.seconds, 2),
        "directory": str(store / manifest.name / manifest.version),
        "artifacts": manifest.artifacts,
        "failed": manifest.failed,
        "parity": manifest.parity,
    }


def inspection(model: StoredModel) -> RenderableType:
    """Everything about one model."""
    manifest = model.manifest
    facts = Table.grid(padding=(0, 2))
    for key, value in (
        ("Model", f"{manifest.name}, version {manifest.version}"),
        ("About", manifest.description),
        ("From", manifest.origin.source),
        ("License", manifest.license),
        ("Built", manifest.created),
        *((key.replace("_", " ").capitalize(), f"{value:g}") for key, value in manifest.metrics.items()),
        ("Labels", str(len(model.labels())) if manifest.labels else "none"),
        ("Samples", ", ".join(model.samples())),
    ):
        facts.add_row(f"[bold]{key}[/bold]", escape(value))
    return Group(
        facts,
        _signature_table(manifest),
        _artifacts_table(manifest),
        parity_table(manifest),
        *(f"Not built for {target}: {_attempts(manifest, target)}" for target in manifest.failed),
        _tools_table(manifest),
    )


def _cell(manifest: Manifest, target: str, differences: Sequence[Difference]) -> str:
    if target not in manifest.artifacts:
        return "[red]failed[/red]" if target in manifest.failed else "-"
    pair = (SOURCE, ENGINE_OF[target])
    worst = max(difference.max_abs for difference in differences if difference.pair == pair)
    return f"[green]{worst:.1e}[/green]"


def _signature_table(manifest: Manifest) -> Table:
    table = _table("", "Name", "Datatype", "Shape", title="Signature")
    sides: tuple[tuple[str, Sequence[TensorEntry]], ...] = (
        ("input", manifest.signature.inputs),
        ("output", manifest.signature.outputs),
    )
    for side, entries in sides:
        for entry in entries:
            table.add_row(side, entry.name, entry.datatype, " × ".join("n" if n == -1 else str(n) for n in entry.shape))
    return table


def _artifacts_table(manifest: Manifest) -> Table:
    table = _table("Server", "Artefact", "Files", "Size", "Settings", title="Artefacts")
    for target, artifact in manifest.artifacts.items():
        settings = ", ".join(f"{key}={value}" for key, value in artifact.settings.items()) or "default"
        table.add_row(TITLES[target], artifact.path, str(len(artifact.files)), _size(artifact.bytes), settings)
    return table


def _tools_table(manifest: Manifest) -> Table:
    table = _table("Tool", "Version", title="Built with")
    for tool, version in manifest.tools.items():
        table.add_row(tool, version)
    return table


def _attempts(manifest: Manifest, target: str) -> str:
    return escape("; ".join(f"{attempt.route}: {attempt.reason}" for attempt in manifest.failed[target]))


def _title(manifest: Manifest) -> str:
    return f"{manifest.name}/{manifest.version}: {escape(manifest.origin.source)}, proven"


def _with_source(pair: str) -> bool:
    return pair.startswith(f"{SOURCE}-")


def _milliseconds(latency: dict[str, float]) -> str:
    return f"{latency['1']:.3g}" if "1" in latency else "-"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0)
    return table


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"
