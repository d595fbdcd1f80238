"""One framework in a process of its own, so that no other framework's threads and libraries disturb it."""

from __future__ import annotations

import gc
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import ParamSpec

import msgspec
import numpy as np
import numpy.typing as npt

from loadtest.frameworks.batches import input_batches
from loadtest.frameworks.contestants import Opener
from loadtest.frameworks.process import memory_peak, print_to, waited
from model_store.engines import Engine
from model_store.errors import StoreError
from model_store.manifest import load_manifest
from model_store.step_process import die_with_parent
from model_store.store import StoredModel

Array = npt.NDArray[np.generic]
P = ParamSpec("P")
Answers = dict[int, list[dict[str, Array]]]  # by batch size, for each batch the outputs by name


class Job(msgspec.Struct, frozen=True):
    """What a worker loads and is fed.

    Attributes:
        open: loads the model.
        directory: the built model, for its samples.
        batches: the batch sizes.
        threads: CPU threads that one inference may use.
        folder: of its own; takes whatever the framework prints, as ``log``, and its temporary files.
    """

    open: Opener
    directory: Path
    batches: tuple[int, ...]
    threads: int
    folder: Path

    @property
    def log(self) -> Path:
        """The file that takes whatever the framework prints."""
        return self.folder / "log"


class Ready(msgspec.Struct, frozen=True):
    """The model is loaded, and has answered every batch once; times in seconds, memory in bytes."""

    version: str
    device: str
    load: float
    first_inference: float
    memory_peak: int
    answers: Answers


class Order(msgspec.Struct, frozen=True):
    """Run ``count`` inferences of ``batch`` rows."""

    batch: int
    count: int


class Round(msgspec.Struct, frozen=True):
    """The times (ns) of the inferences that were ordered, in order.

    ``waited`` are the ns out of ``elapsed`` for which one of its threads stood ready and had no CPU: that of the
    thread that waited longest. None where the kernel does not say.
    """

    times: list[int]
    elapsed: int
    waited: int | None
    memory_peak: int


class Failed(msgspec.Struct, frozen=True):
    """There is no answer; ``reason`` is a sentence."""

    reason: str


def serve(connection: Connection) -> None:
    """Answer a ``Job`` with ``Ready`` or ``Failed``, then each ``Order`` with ``Round`` or ``Failed``, to the end."""
    die_with_parent()
    job: Job = connection.recv()
    print_to(job.log)
    os.environ["TMPDIR"] = str(job.folder)  # a process that is killed cannot clear up after itself
    runner = _Runner(job)
    with suppress(EOFError, ConnectionError):  # the parent has hung up
        connection.send(runner.answer(runner.load))
        gc.collect()
        gc.freeze()  # what a framework has loaded is not looked through again at each collection
        while True:
            connection.send(runner.answer(runner.run, connection.recv()))


class _Runner:
    """The model in its framework, and the batches that it is fed in turns."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._doing = ""
        self._engine: Engine
        self._batches: dict[int, list[dict[str, Array]]] = {}
        self._turns: dict[int, Iterator[dict[str, Array]]] = {}

    def answer(self, action: Callable[P, Ready | Round], *args: P.args, **kwargs: P.kwargs) -> Ready | Round | Failed:
        """What ``action`` gives, or why it gives nothing."""
        try:
            return action(*args, **kwargs)
        except Exception as error:  # whatever a framework raises
            return Failed(_sentence(self._doing, error))

    def load(self) -> Ready:
        """Load the model, and run every batch once."""
        job = self._job
        self._doing = "reading the samples"
        stored = StoredModel(job.directory, load_manifest(job.directory))
        self._batches = {rows: input_batches(stored, rows) for rows in job.batches}
        self._turns = {rows: itertools.cycle(batches) for rows, batches in self._batches.items()}
        self._doing = "loading the model"
        began = time.perf_counter()
        self._engine = engine = job.open(job.threads)
        loaded = time.perf_counter()
        self._doing = "the first inference"
        engine.run(self._batches[job.batches[0]][0])
        answered = time.perf_counter()
        answers: Answers = {}
        for rows, batches in self._batches.items():
            self._doing = f"batch {rows}"
            answers[rows] = [engine.run(batch) for batch in batches]
        # str(): PyTorch gives a class of its own, for which the parent would have to import PyTorch.
        return Ready(str(engine.version), engine.device, loaded - began, answered - loaded, memory_peak(), answers)

    def run(self, order: Order) -> Round:
        """One round."""
        self._doing = f"batch {order.batch}"
        turn = self._turns[order.batch]
        # The others ran meanwhile: every input is seen once, so that the caches are full again when the clock counts.
        self._time(itertools.islice(turn, len(self._batches[order.batch])))
        inputs = [*itertools.islice(turn, order.count)]
        gc.collect()
        gc.disable()
        began = time.perf_counter_ns()
        before = waited()
        times = self._time(inputs)
        after = waited()
        elapsed = time.perf_counter_ns() - began
        gc.enable()
        waits = [after[thread] - ns for thread, ns in before.items() if thread in after]
        return Round(times, elapsed, max(waits, default=None), memory_peak())

    def _time(self, inputs: Iterable[Mapping[str, Array]]) -> list[int]:
        times: list[int] = []
        for batch in inputs:
            began = time.perf_counter_ns()
            self._engine.run(batch)
            times.append(time.perf_counter_ns() - began)
        return times


def _sentence(doing: str, error: Exception) -> str:
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{doing}: there is not enough memory"
    lines = str(error).strip().splitlines()
    return f"{doing}: {type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
