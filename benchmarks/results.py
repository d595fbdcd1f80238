"""What a run of the benchmark found, as it is written to JSON."""

from __future__ import annotations

import msgspec

from loadtest.results.environment import Environment
from loadtest.statistics.estimate import Estimate


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of the file."""


class Cell(Struct, frozen=True, kw_only=True):
    """One server under one load. Times in seconds, rates a second, memory in bytes.

    Attributes:
        server: its name.
        form: how it was asked.
        size: of the tensor.
        bytes: of the tensor, exactly.
        connections: requests in flight.
        requests: good answers that were due in the windows.
        p50, p99: from due to done.
        throughput: good answers a second.
        rate_ratio: throughput ÷ that of direct calls in the same moments; None for these themselves.
        p50_ratio: the same of the medians.
        cpu: CPU seconds of the server's processes for each request.
        resident: resident memory after a block.
        peak: at most within one.
        errors: failed requests.
        invalid: why the numbers are not the server's (see docs/loadtest.md); empty when they are.
        warnings: why they are worth less.
        problem: why there are none; empty when there are.
    """

    server: str
    form: str = ""
    size: str = ""
    bytes: int = 0
    connections: int
    requests: int = 0
    p50: Estimate | None = None
    p99: Estimate | None = None
    throughput: Estimate | None = None
    rate_ratio: Estimate | None = None
    p50_ratio: Estimate | None = None
    cpu: float | None = None
    resident: int = 0
    peak: int = 0
    errors: int = 0
    invalid: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str = ""


class ToolTimes(Struct, frozen=True, kw_only=True):
    """One server as another load tester sees it: medians over the rounds, times in seconds.

    ``rate_ratio`` is its throughput, in requests a second, divided by that of direct calls in the same round.
    """

    tool: str
    server: str
    form: str
    connections: int
    p50: float
    p99: float
    throughput: float
    rate_ratio: float | None = None


class Part(Struct, frozen=True, kw_only=True):
    """CPU seconds that ``part`` of the gateway takes for a request over ``form``."""

    form: str
    part: str
    cpu: float


class ServerEntry(Struct, frozen=True, kw_only=True):
    """One server.

    Attributes:
        version: what it is.
        remark: how it was set up.
        difference: largest absolute difference of its answers from those of direct calls; None when not compared.
        problem: why it was not measured; empty when it was.
    """

    name: str
    version: str
    remark: str = ""
    difference: float | None = None
    problem: str = ""


class Result(Struct, frozen=True, kw_only=True):
    """One run.

    Attributes:
        started: ISO 8601, UTC.
        seconds: how long it took.
        quick: whether it was the short one, whose intervals are wide.
        window: seconds of a block.
        blocks: of each server under each load.
        busy: load average of the minute before: other work on this machine makes the numbers worth less.
        stolen_cpu: share of the machine's CPU time that its host gave to others meanwhile.
        left_out: what was to be measured and was not, because time was up or a server had failed.
    """

    started: str
    seconds: float
    quick: bool
    window: float
    blocks: int
    busy: float
    stolen_cpu: float
    environment: Environment
    servers: tuple[ServerEntry, ...]
    cells: tuple[Cell, ...]
    tools: tuple[ToolTimes, ...]
    parts: tuple[Part, ...]
    left_out: tuple[str, ...]
    format: int = 1
