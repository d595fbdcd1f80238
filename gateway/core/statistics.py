"""Counts and durations per model, as the Open Inference Protocol's statistics extension reports them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


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
class ModelStatistics:
    """Cumulative since the start.

    Attributes:
        inference_count: inferences answered; a request of batch size n counts n.
        execution_count: requests sent to a backend and answered.
        last_inference_ms: wall-clock time of the last success, in milliseconds since the epoch.
        success, fail: whole requests, from the moment the front door had them.
        queue: waiting for a backend to be free.
        compute_input, compute_infer, compute_output: before, in and after the backend.
    """

    inference_count: int = 0
    execution_count: int = 0
    last_inference_ms: int = 0
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    compute_input: Duration = field(default_factory=Duration)
    compute_infer: Duration = field(default_factory=Duration)
    compute_output: Duration = field(default_factory=Duration)

    def record_success(self, batch: int, before: float, backend: float, total: float) -> None:
        """Count one answered request of ``batch`` inferences; durations in seconds."""
        self.inference_count += batch
        self.execution_count += 1
        self.last_inference_ms = time.time_ns() // 1_000_000
        self.success.add(total)
        self.queue.add(0.0)
        self.compute_input.add(before)
        self.compute_infer.add(backend)
        self.compute_output.add(max(0.0, total - before - backend))

    def record_failure(self, total: float) -> None:
        """Count one failed request that took ``total`` seconds."""
        self.fail.add(total)
