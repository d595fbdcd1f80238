from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from loadtest.cli import app
from loadtest.results.report import Calibration
from model_store.store import ModelStore

Invoke = Callable[..., Result]


@pytest.fixture(autouse=True)
def calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibration takes seconds and has tests of its own."""

    async def calibrate(transport: str, *, lag: bool) -> Calibration:
        return Calibration(transport=transport, ceiling=10_000.0, floor_p50=1e-4, floor_p99=2e-4)

    monkeypatch.setattr("loadtest.commands.carrying_out.calibrate", calibrate)


@pytest.fixture(autouse=True)
def soon_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in server is never cold."""
    monkeypatch.setattr("loadtest.measure.subject._WARM_UP_PIECE", 10_000_000)
    monkeypatch.setattr("loadtest.measure.subject._LEAST_ANSWERS", 2)


@pytest.fixture
def places(store: ModelStore, run_directory: Path, tmp_path: Path) -> tuple[str, ...]:
    return ("--store", str(store.root), "--run-dir", str(run_directory), "--output", str(tmp_path / "reports"))


@pytest.fixture
def loadtest(places: tuple[str, ...]) -> Invoke:
    """Runs a command on the stand-in stack."""

    def invoke(*arguments: str, defaults: tuple[str, ...] = ("--seed", "7", "--timeout", "2", *places)) -> Result:
        return CliRunner().invoke(app, [arguments[0], *defaults, *arguments[1:]])

    return invoke
