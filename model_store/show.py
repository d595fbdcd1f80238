"""Manifests as tables for an 80-column terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table

from model_store.manifest import Manifest, PairParity, TensorEntry
from model_store.store import StoredModel


def models_table(manifests: Sequence[Manifest]) -> Table:
    """One line a built model."""
    table = _table("Model", "Version", "Size", "Max diff", "Built")
    for manifest in manifests:
        size = sum(artifact.bytes for artifact in manifest.artifacts.values())
        worst = max((pair.max_abs for pair in manifest.parity.values()), default=0.0)
        table.add_row(manifest.name, manifest.version, _size(size), f"{worst:.1e}", manifest.created[:16])
    return table


def parity_table(title: str, parity: Mapping[str, PairParity]) -> Table:
    """One line a pair of engines."""
    table = _table("Pair", "Max abs", "Max rel", "Allowed abs", "Top-1", title=f"{title}: parity")
    for pair, found in parity.items():
        row = (f"{found.max_abs:.1e}", f"{found.max_rel:.1e}", f"{found.tolerance:.1e}", f"{found.top1_agreement:.0%}")
        table.add_row(pair.replace("-", " – "), *row)
    return table


def inspection(model: StoredModel) -> RenderableType:
    """Everything about one model."""
    manifest = model.manifest
    facts = Table.grid(padding=(0, 2))
    for key, value in (
        ("Model", f"{manifest.name}, version {manifest.version}"),
        ("About", manifest.description),
        ("License", manifest.license),
        ("Built", manifest.created),
        *((key.replace("_", " ").capitalize(), f"{value:g}") for key, value in manifest.metrics.items()),
        ("Labels", str(len(model.labels())) if manifest.labels else "none"),
        ("Samples", ", ".join(model.samples())),
    ):
        facts.add_row(f"[bold]{key}[/bold]", value)
    return Group(
        facts,
        _signature_table(manifest),
        _artifacts_table(manifest),
        parity_table(manifest.name, manifest.parity),
        _tools_table(manifest),
    )


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
    table = _table("Server", "Artefact", "Files", "Size", title="Artefacts")
    for target, artifact in manifest.artifacts.items():
        table.add_row(target, artifact.path, str(len(artifact.files)), _size(artifact.bytes))
    return table


def _tools_table(manifest: Manifest) -> Table:
    table = _table("Tool", "Version", title="Built with")
    for tool, version in manifest.tools.items():
        table.add_row(tool, version)
    return table


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0)
    return table


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.0f} kB"
