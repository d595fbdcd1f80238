"""One run of a scenario: the result file's contents, so that every table and picture can be made again from it."""

from __future__ import annotations

from loadtest.load.loads import AnyLoad
from loadtest.load.seeds import Seeds
from loadtest.results.block import Block, Struct
from loadtest.results.environment import Environment
from loadtest.results.mlperf import MlperfResult
from loadtest.results.search import SearchResult

FORMAT = 2


class TargetResult(Struct, frozen=True, kw_only=True):
    """All blocks of one target; its fields are those of ``loadtest.targets.target.Target``.

    Attributes:
        problem: why it could not be measured (fully); empty when it was.
        largest_difference: of its answers from those of the majority of the targets, None when not compared.
        first_payload: number in the report's ``payloads`` of what its blocks call payload 0.
    """

    name: str
    backend: str
    server: str
    via: str
    protocol: str
    wire: str
    problem: str = ""
    largest_difference: float | None = None
    first_payload: int = 0
    blocks: tuple[Block, ...] = ()


class PayloadEntry(Struct, frozen=True, kw_only=True):
    """One payload of the workload; ``sha256`` is over its tensors' bytes."""

    model: str
    version: str
    label: str
    rows: int
    weight: float
    sha256: str


class Calibration(Struct, frozen=True, kw_only=True):
    """What the load generator can do on this machine, measured against a server that does nothing.

    Attributes:
        transport: HTTP or gRPC.
        ceiling: most requests a second.
        floor_p50, floor_p99: response times (s) with one request in flight: no server can be measured faster.
        send_lag_p99: how late (s) requests were sent at half the ceiling; None when that was not tried.
    """

    transport: str
    ceiling: float
    floor_p50: float
    floor_p99: float
    send_lag_p99: float | None = None


class Report(Struct, frozen=True, kw_only=True):
    """One run of a scenario.

    Attributes:
        scenario: the command, such as ``run`` or ``compare``.
        started: ISO 8601, UTC.
        seconds: measured for each target and load; the cap where it stops when intervals are narrow.
        until: what it stops at, such as ``p99:5%``; empty: after ``seconds``.
        timeout: seconds after which a request has failed.
        most_in_flight: bound of the open loops whose breach voids a block.
        error_limit: largest share of failed requests of a valid run.
        forced: whether rates near the generator's ceiling were insisted on.
        stolen_cpu: share of the machine's CPU time that the host gave to other guests meanwhile.
        workers: hosts that made the load; empty: this one.
    """

    scenario: str
    model: str
    version: str
    payloads: tuple[PayloadEntry, ...]
    started: str
    seconds: float
    until: str = ""
    seeds: Seeds
    timeout: float
    most_in_flight: int
    error_limit: float = 0.01
    forced: bool = False
    interrupted: bool
    stolen_cpu: float
    environment: Environment
    calibrations: tuple[Calibration, ...] = ()
    workers: tuple[str, ...] = ()
    loads: tuple[AnyLoad, ...]
    targets: tuple[TargetResult, ...]
    search: SearchResult | None = None
    mlperf: tuple[MlperfResult, ...] = ()
    format: int = FORMAT
