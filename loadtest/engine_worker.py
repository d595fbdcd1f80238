"""One framework in a process of its own, so that no other framework's threads and libraries disturb it."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from loadtest.agreement import Outputs
from model_store.engines import Engine, open_engine
from model_store.errors import StoreError
from model_store.manifest import load_manifest
from model_store.store import StoredModel

Array = npt.NDArray[np.generic]


class Job(msgspec.Struct, frozen=True):
    """What a worker loads: the engine ``kind``, the built model, rows in a batch, CPU threads, and warm-up runs.

    ``log`` is the file that takes whatever the framework prints.
    """

    kind: str
    directory: Path
    batch: int
    threads: int
    warm_up: int
    log: Path


class Ready(msgspec.Struct, frozen=True):
    """The engine is warm. ``answers`` hold its outputs for every batch once."""

    version: str
    device: str
    answers: tuple[Outputs, ...]


class Failed(msgspec.Struct, frozen=True):
    """The engine cannot be used; ``reason`` is a sentence."""

    reason: str


def serve_rounds(connection: Connection, job: Job) -> None:
    """Answer ``Ready`` or ``Failed``; then, for each number received, the times (ns) of that many inferences."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; we end when it hangs up
    _print_to(job.log)
    try:
        stored = StoredModel(job.directory, load_manifest(job.directory))
        engine = open_engine(job.kind, job.directory, stored.manifest, "cpu", job.threads)
        batches = _batches(stored, job.batch)
        answers = tuple(engine.run(batch) for batch in batches)
    except StoreError as error:
        connection.send(Failed(str(error)))
        return
    turn = itertools.cycle(batches)
    _time_runs(engine, turn, job.warm_up)
    gc.collect()
    gc.disable()
    # str(): PyTorch gives a class of its own, for which the parent would have to import PyTorch.
    connection.send(Ready(str(engine.version), engine.device, answers))
    while True:
        try:
            count: int = connection.recv()
        except EOFError:
            return
        # The others ran meanwhile: refill the caches before the clock counts.
        _time_runs(engine, turn, min(job.warm_up, len(batches)))
        connection.send(_time_runs(engine, turn, count))


def _print_to(log: Path) -> None:
    # Frameworks write to the descriptors themselves, past Python's own streams.
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _batches(stored: StoredModel, rows: int) -> list[Mapping[str, Array]]:
    """As many batches as there are samples: batch ``i`` begins with sample ``i`` and goes round those of its shape."""
    samples = list(stored.samples().values())
    batches: list[Mapping[str, Array]] = []
    for first, sample in enumerate(samples):
        alike = [other for other in samples[first:] + samples[:first] if _shapes(other) == _shapes(sample)]
        chosen = [alike[row % len(alike)] for row in range(rows)]
        batches.append({name: np.concatenate([one[name] for one in chosen])[:rows] for name in sample})
    return batches


def _shapes(sample: Mapping[str, Array]) -> list[tuple[int, ...]]:
    return [array.shape[1:] for array in sample.values()]


def _time_runs(engine: Engine, turn: Iterator[Mapping[str, Array]], count: int) -> list[int]:
    times: list[int] = []
    for batch in itertools.islice(turn, count):
        began = time.perf_counter_ns()
        engine.run(batch)
        times.append(time.perf_counter_ns() - began)
    return times
