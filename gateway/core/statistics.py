"""Counts and durations per model, as the Open Inference Protocol's statistics extension reports them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

# Batch sizes that get statistics of their own; a client chooses the sizes, so that they must not grow without bound.
MAX_BATCH_SIZES = 256


@dataclass(slots=True)
class Duration:
    """How often something happened and how long it took in all, in nanoseconds."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float) -> None:
        """Count one more that took ``seconds``."""
        self.count += 1
        self.ns += int(seconds * 1e9)


@dataclass(slots=True)
class BatchStatistics:
    """Of the requests of one batch size: before, in and after the backend; how many, and how long in nanoseconds."""

    count: int = 0
    before_ns: int = 0
    backend_ns: int = 0
    after_ns: int = 0

    def add(self, before_ns: int, backend_ns: int, after_ns: int) -> None:
        """Count one more."""
        self.count += 1
        self.before_ns += before_ns
        self.backend_ns += backend_ns
        self.after_ns += after_ns

    @property
    def compute_input(self) -> Duration:
        """Before the backend."""
        return Duration(self.count, self.before_ns)

    @property
    def compute_infer(self) -> Duration:
        """In the backend."""
        return Duration(self.count, self.backend_ns)

    @property
    def compute_output(self) -> Duration:
        """After it."""
        return Duration(self.count, self.after_ns)


@dataclass(slots=True)
class ModelStatistics:
    """Cumulative since the start.

    Attributes:
        inference_count: inferences answered; a request of batch size n counts n.
        execution_count: requests sent to a backend and answered.
        last_inference_ms: wall-clock time of the last success, in milliseconds since the epoch.
        success, fail: whole requests, from the moment the front door had them.
        queue: waiting for a backend to be free.
        compute: before, in and after the backend.
        cache_hit: requests answered from an equal one, and the time to find that out; counted in ``success`` and
            ``queue`` too, and in nothing else.
        cache_miss: those that were answered by a backend, and the time to find that out and to keep their answers.
        by_batch: the same by batch size, of models with a batch dimension.
    """

    inference_count: int = 0
    execution_count: int = 0
    last_inference_ms: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute: BatchStatistics = field(default_factory=BatchStatistics)
    cache_hit: Duration = field(default_factory=Duration)
    cache_miss: Duration = field(default_factory=Duration)
    by_batch: dict[int, BatchStatistics] = field(default_factory=dict)

    def record_success(self, batch: int | None, before: float, queue: float, backend: float, total: float) -> None:
        """Count one answered request of ``batch`` inferences (None: no batch dimension); durations in seconds."""
        self.inference_count += 1 if batch is None else batch
        self.execution_count += 1
        self.last_inference_ms = time.time_ns() // 1_000_000
        self.success.add(total)
        self.queue.add(queue)
        after = max(0.0, total - before - queue - backend)
        parts = int(before * 1e9), int(backend * 1e9), int(after * 1e9)
        self.compute.add(*parts)
        if batch is not None:
            of_size = self.by_batch.get(batch)
            if of_size is None and len(self.by_batch) < MAX_BATCH_SIZES:
                of_size = self.by_batch[batch] = BatchStatistics()
            if of_size is not None:
                of_size.add(*parts)

    def record_cached(self, queue: float, total: float) -> None:
        """Count one request that was answered from an equal one; durations in seconds."""
        self.success.add(total)
        self.queue.add(queue)

    def record_failure(self, total: float) -> None:
        """Count one failed request that took ``total`` seconds."""
        self.fail.add(total)
