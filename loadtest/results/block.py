"""One uninterrupted measurement of one target: raw stamps of every request, and how the generator itself fared."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the parts of the file."""


class Health(Struct, frozen=True, kw_only=True):
    """How the load generator fared.

    Attributes:
        generator_cpu: share of one core that it used.
        loop_lag_p99: 99th percentile (s) of how late its event loop ran a callback that was due.
        loop_lag_max: the greatest of those (s).
        connections_opened: connections opened in the window: churn.
        most_in_flight: the most requests that were under way at once.
    """

    generator_cpu: float
    loop_lag_p99: float = 0.0
    loop_lag_max: float = 0.0
    connections_opened: int = 0
    most_in_flight: int = 0


class ServerTimes(Struct, frozen=True, kw_only=True):
    """Where the time of answers went, summed over ``requests`` of them, so that blocks can be added up.

    Attributes:
        source: who says so: ``Server-Timing`` (the gateway, of a sample of the answers), ``OIP statistics``,
            ``Prometheus``.
        seconds: sum over the requests by part, such as ``queue``, ``compute``, ``backend``, ``gateway``.
        total: sum of the same requests' service times (s) where each is known (``Server-Timing``), else None.
    """

    source: str
    requests: int
    seconds: dict[str, float]
    total: float | None = None


def add_server_times(left: ServerTimes, right: ServerTimes) -> ServerTimes:
    """Both together: what one source says of the requests of ``left`` and of those of ``right``."""
    parts = dict.fromkeys((*left.seconds, *right.seconds))
    total = left.total + right.total if left.total is not None and right.total is not None else None
    return ServerTimes(
        source=left.source,
        requests=left.requests + right.requests,
        seconds={part: left.seconds.get(part, 0.0) + right.seconds.get(part, 0.0) for part in parts},
        total=total,
    )


class Block(Struct, frozen=True, kw_only=True):
    """One target under one load. Times are relative to the start of its window and in ns, columns are packed int64.

    The first five columns have one entry for each good answer, those that were due in the lead-in before the window
    (negative ``scheduled``) included: they are in flight when it opens and so have their part in its throughput.

    Attributes:
        load: spec of the load.
        repetition: number of the block among those of its load; rounds of an interleaved experiment.
        restart: number of the outer repetition, in which servers were started anew.
        window_seconds: length of the window that counts.
        offered: requests that were due in the window.
        payload: number of the payload.
        scheduled: when it was due.
        send_lag: how much later it was sent.
        first_byte: from due to the first byte of the answer.
        response_time: from due to complete.
        failed_at: when each failed request was due.
        failed_kind: the failure of each, as an index into ``failures``.
        failures: kinds of failures, such as ``timeout``.
        details: what the server said the first time, by kind.
        compared: answers under load that were compared in full; those that differed are failures.
        void: why the block must not be used; empty when it may.
        unfinished: stopped before its window ended (Ctrl-C).
    """

    load: str
    repetition: int
    restart: int = 0
    window_seconds: float
    offered: int
    payload: bytes
    scheduled: bytes
    send_lag: bytes
    first_byte: bytes
    response_time: bytes
    failed_at: bytes
    failed_kind: bytes
    failures: tuple[str, ...] = ()
    details: dict[str, str] = {}
    compared: int = 0
    health: Health
    server_times: tuple[ServerTimes, ...] = ()
    void: str = ""
    unfinished: bool = False


@dataclass(slots=True, frozen=True)
class Columns:
    """The unpacked columns of a block's requests that were due in its window, in the order of their due times.

    Attributes:
        payload, scheduled, send_lag, first_byte, response_time: int64 of equal length, times in ns.
    """

    payload: IntArray
    scheduled: IntArray
    send_lag: IntArray
    first_byte: IntArray
    response_time: IntArray

    @classmethod
    def of(cls, block: Block) -> Columns:
        """The requests of ``block``."""
        scheduled = unpack(block.scheduled)
        due = np.flatnonzero(scheduled >= 0)
        due = due[np.argsort(scheduled[due], kind="stable")]
        columns = (block.payload, block.scheduled, block.send_lag, block.first_byte, block.response_time)
        return cls(*(unpack(column)[due] for column in columns))

    @property
    def service_time(self) -> IntArray:
        """From sent to complete (ns)."""
        return self.response_time - self.send_lag

    def after(self, count: int) -> Columns:
        """Without the first ``count`` requests."""
        columns = (self.payload, self.scheduled, self.send_lag, self.first_byte, self.response_time)
        return Columns(*(column[count:] for column in columns))


def failure_counts(blocks: Sequence[Block]) -> dict[str, int]:
    """Failed requests that were due in the windows, by kind."""
    counts: dict[str, int] = {}
    for block in blocks:
        kinds = unpack(block.failed_kind)[unpack(block.failed_at) >= 0]
        for index, count in enumerate(np.bincount(kinds, minlength=len(block.failures))):
            if count:
                counts[block.failures[index]] = counts.get(block.failures[index], 0) + int(count)
    return counts


def pack(values: npt.NDArray[np.int64]) -> bytes:
    """``values`` as deflated little-endian int64; JSON carries it in base64."""
    return zlib.compress(values.astype("<i8").tobytes(), 1)


def unpack(packed: bytes) -> IntArray:
    """The values that ``pack`` took."""
    return np.frombuffer(zlib.decompress(packed), dtype="<i8")
