"""The result file: everything that was measured, raw, so that every table and picture can be made again from it."""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

FORMAT = 1


class ResultsError(Exception):
    """A result file cannot be read; the message names the file and what is wrong with it."""


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of the file."""


class Phase(Struct, frozen=True, tag_field="loop"):
    """One kind of load."""

    name: str

    @property
    def title(self) -> str:
        """For people."""
        raise NotImplementedError


class ClosedLoop(Phase, frozen=True, tag="closed"):
    """``concurrency`` callers, each of which sends its next request when the answer to the last is there."""

    concurrency: int

    @property
    def title(self) -> str:
        return f"Closed loop, {self.concurrency} in flight"


class OpenLoop(Phase, frozen=True, tag="open"):
    """Poisson arrivals, ``rate`` a second, whatever the server does."""

    rate: float

    @property
    def title(self) -> str:
        return f"Open loop, {self.rate:,.4g} requests/s (Poisson)"


class Block(Struct, frozen=True):
    """One target under one load for one short, uninterrupted time.

    Attributes:
        window_seconds: length of the window that counts; times are relative to its start.
        generator_cpu: share of one core that the load generator itself used.
        scheduled: when each request was due (ns; negative in the lead-in), packed.
        send_lag: how much later it was sent (ns), packed.
        response_time: from due to complete (ns), packed.
        errors: failed requests due in the window, by kind.
        void: why the block must not be used; empty when it may.
    """

    phase: str
    repetition: int
    window_seconds: float
    generator_cpu: float
    scheduled: bytes
    send_lag: bytes
    response_time: bytes
    errors: dict[str, int]
    void: str = ""


class TargetResult(Struct, frozen=True):
    """All blocks of one target. ``problem`` says why it could not be measured (fully); empty when it was."""

    backend: str
    via: str
    protocol: str
    server: str
    problem: str = ""
    largest_difference: float | None = None
    blocks: tuple[Block, ...] = ()

    @property
    def name(self) -> str:
        """Backend, way and protocol in one line."""
        return f"{self.backend} {self.via} {self.protocol}"


class Machine(Struct, frozen=True):
    """Where it was measured; servers and load generator share it."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str


class Report(Struct, frozen=True):
    """One run of a scenario. ``started`` is ISO 8601, UTC; ``seed`` fixes orders and arrivals.

    ``stolen_cpu`` is the share of the machine's CPU time that the host gave to other guests meanwhile.
    """

    scenario: str
    model: str
    version: str
    started: str
    seconds: float
    seed: int
    interrupted: bool
    stolen_cpu: float
    machine: Machine
    phases: tuple[ClosedLoop | OpenLoop, ...]
    targets: tuple[TargetResult, ...]
    format: int = FORMAT


def pack(values: npt.NDArray[np.int64]) -> bytes:
    """``values`` as deflated little-endian int64; JSON carries it in base64."""
    return zlib.compress(values.astype("<i8").tobytes(), 1)


def unpack(packed: bytes) -> npt.NDArray[np.int64]:
    """The values that ``pack`` took."""
    return np.frombuffer(zlib.decompress(packed), dtype="<i8")


def save_report(report: Report, path: Path) -> None:
    """Write ``report`` as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1))


def load_report(path: Path) -> Report:
    """Read what ``save_report`` wrote.

    Raises:
        ResultsError: no such file, or not one of ours.
    """
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
        for target in report.targets:
            for block in target.blocks:
                if not len(unpack(block.scheduled)) == len(unpack(block.send_lag)) == len(unpack(block.response_time)):
                    raise ValueError(f"a block of {target.name} has times of different lengths")
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise ResultsError(f"{path}: not a result file of loadtest: {error}") from None
    if report.format != FORMAT:
        raise ResultsError(f"{path}: format {report.format} is not known; this version reads {FORMAT}")
    return report
