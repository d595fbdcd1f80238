"""Find the best settings of one engine for one artefact."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from model_store.calibration.choice import choose
from model_store.calibration.rounds import time_rounds
from model_store.engines import CPU, ENGINES, Array, Engine, Settings, candidates, open_engine
from model_store.errors import EngineError
from model_store.manifest import Manifest

LARGER_BATCH = 8
SHARES = (0.6, 0.4)  # of the time: the batch of one decides
TOO_SLOW = 2.0  # times the budget: a larger batch that would take longer is left out

Tensors = Mapping[str, Array]


@dataclass(slots=True, frozen=True)
class Trial:
    """Settings that were tried, and the median latency in milliseconds by batch size."""

    settings: dict[str, bool | int | str]
    latency_ms: dict[str, float]


@dataclass(slots=True, frozen=True)
class Calibration:
    """What was found: the settings to use, their latency, and everything that was tried, the defaults first."""

    settings: dict[str, bool | int | str]
    latency_ms: dict[str, float]
    tried: list[Trial]


def calibrate(
    kind: str, directory: Path, manifest: Manifest, inputs: Mapping[str, Tensors], seconds: float
) -> Calibration:
    """Measure every candidate of ``kind`` on the CPU with one thread, at batch 1 and 8, and choose.

    Whether the chosen settings give the right answers is for the parity gate to say.

    Args:
        kind: the engine.
        directory: the built model's directory.
        manifest: its manifest.
        inputs: named sets of real inputs; the rows of the first are measured with.
        seconds: about how long to measure.

    Raises:
        EngineError: the artefact does not run with the engine's defaults.
    """
    batches = _batches(next(iter(inputs.values())), manifest)
    engines = _open(kind, directory, manifest, next(iter(batches.values())))
    rounds: dict[str, list[list[float]]] = {}
    for (size, tensors), share in zip(batches.items(), SHARES, strict=False):
        if rounds and _expected(rounds, int(size)) > TOO_SLOW * seconds:
            break
        runs: list[Callable[[], object]] = [functools.partial(engine.run, tensors) for _, engine in engines]
        rounds[size] = time_rounds(runs, share * seconds)
    tried = [
        Trial(
            dict(settings),
            {size: round(1000 * statistics.median(times[index]), 4) for size, times in rounds.items()},
        )
        for index, (settings, _) in enumerate(engines)
    ]
    best = tried[choose([*rounds.values()])]
    return Calibration(best.settings, best.latency_ms, tried)


def _batches(tensors: Tensors, manifest: Manifest) -> dict[str, Tensors]:
    """Inputs by batch size; a model without a batch dimension takes them as they are."""
    if not manifest.model_signature().batched:
        return {"1": tensors}
    sizes = sorted({1, min(LARGER_BATCH, max(1, manifest.max_batch_size))})
    return {str(size): {name: _rows(array, size) for name, array in tensors.items()} for size in sizes}


def _rows(array: Array, count: int) -> Array:
    return array[np.arange(count) % len(array)]


def _open(kind: str, directory: Path, manifest: Manifest, probe: Tensors) -> list[tuple[Settings, Engine]]:
    """Every candidate that runs here. The defaults must."""
    target = ENGINES[kind][0]
    engines: list[tuple[Settings, Engine]] = []
    for settings in candidates(kind, directory, manifest):
        artifact = msgspec.structs.replace(manifest.artifacts[target], settings=dict(settings))
        draft = msgspec.structs.replace(manifest, artifacts=manifest.artifacts | {target: artifact})
        try:
            engine = open_engine(kind, directory, draft, device=CPU, threads=1)
            engine.run(probe)
        except Exception as error:
            # Frameworks fail in their own many ways on settings that do not suit a graph.
            if not settings:
                raise EngineError(f"{kind} does not run the model: {error}") from error
            print(f"{kind} does not run with {dict(settings)}: {error}")  # noqa: T201  a step's output is its log
            continue
        engines.append((settings, engine))
    return engines


def _expected(rounds: Mapping[str, Sequence[Sequence[float]]], size: int) -> float:
    """Seconds that one run of every candidate will take, going by the batch of one."""
    return size * sum(statistics.median(times) for times in rounds["1"])
