"""When the requests of LoadGen's Server scenario were due: its trace tells, its calls do not.

A request is handed over after its due time by what LoadGen's thread overslept and waited for the interpreter. A
response time that began there would leave that waiting out.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from msgspec import structs

from loadtest.clock import NS
from loadtest.errors import ResultsError
from loadtest.results.block import Block, IntArray, pack, unpack

TRACE = "mlperf_log_trace.json"
_SAMPLE = '{"name":"Sample",'
_BEGIN = '"ph":"b"'
_MICROSECOND = 1000


def due_times(directory: Path) -> tuple[IntArray, IntArray]:
    """Due times (ns, on a clock of LoadGen's own) of all requests in the order of issue, and how late each was issued.

    The trace in ``directory``, a kilobyte a request, has served its purpose then and is removed.

    Raises:
        ResultsError: it cannot be read.
    """
    path = directory / TRACE
    try:
        with path.open(encoding="utf-8") as lines:
            samples = [
                _decoder.decode(line.rstrip().removesuffix(","))
                for line in lines
                if line.startswith(_SAMPLE) and _BEGIN in line
            ]
        path.unlink()
    except (OSError, msgspec.MsgspecError) as error:
        raise ResultsError(f"{path}: cannot be read: {error}") from None
    samples.sort(key=lambda sample: sample.args.sample_seq)
    due = np.array([round(sample.ts * _MICROSECOND) for sample in samples], dtype=np.int64)
    return due, np.array([sample.args.issue_start_ns for sample in samples], dtype=np.int64)


def with_due_times(block: Block, handed_over: IntArray, due: IntArray, delay: IntArray) -> Block:
    """``block``, whose requests are scheduled when they were ``handed_over`` (ns, ascending), counted from being due.

    ``due`` and ``delay`` are what ``due_times`` gives. The quickest way from being issued to being handed over is taken
    for no time at all: it is what lays LoadGen's clock upon ours.
    """
    due = due + (handed_over - due - delay).min()
    late = handed_over - due
    scheduled, failed_at = unpack(block.scheduled), unpack(block.failed_at)
    good = np.searchsorted(handed_over - handed_over[0], scheduled)
    failed = np.searchsorted(handed_over - handed_over[0], failed_at)
    return structs.replace(
        block,
        window_seconds=block.window_seconds + int(late[0]) / NS,
        scheduled=pack(due[good] - due[0]),
        send_lag=pack(unpack(block.send_lag) + late[good]),
        first_byte=pack(unpack(block.first_byte) + late[good]),
        response_time=pack(unpack(block.response_time) + late[good]),
        failed_at=pack(due[failed] - due[0]),
    )


class _Arguments(msgspec.Struct):
    sample_seq: int
    issue_start_ns: int


class _Sample(msgspec.Struct):
    ts: float
    args: _Arguments


_decoder = msgspec.json.Decoder(_Sample)
