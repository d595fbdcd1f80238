"""The requests of one row on the run's time axis: the windows of its blocks, one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from loadtest.clock import NS
from loadtest.load.loads import MultiStream
from loadtest.measure.summary import Row
from loadtest.results.block import Block, Columns, IntArray, unpack

FloatArray = npt.NDArray[np.float64]


@dataclass(slots=True, frozen=True)
class Track:
    """Times in seconds; requests (queries under multi-stream) that were due in the windows unless said otherwise.

    Attributes:
        seconds: length of the axis.
        due: when each good answer's request was due, ascending.
        response, service: of each good answer.
        done: when good answers were complete within the windows, those of requests from before a window included.
        failed: when each failed request was due.
    """

    seconds: float
    due: FloatArray
    response: FloatArray
    service: FloatArray
    done: FloatArray
    failed: FloatArray

    def settled(self, warm_up: float) -> Track:
        """Without the answers of the first ``warm_up`` seconds."""
        first = int(np.searchsorted(self.due, warm_up - 0.5 / NS))
        return replace(self, due=self.due[first:], response=self.response[first:], service=self.service[first:])


def track(row: Row) -> Track:
    """The requests of ``row``, warm-up included, for pictures show it; none of a row with a void block."""
    blocks = [block for block in row.target.blocks if block.load == row.load.spec]
    if any(block.void for block in blocks):
        blocks = []
    columns = [Columns.of(block) for block in blocks]
    lengths = np.array([block.window_seconds for block in blocks])
    starts = np.cumsum(lengths) - lengths
    firsts = [_first_of_queries(one, isinstance(row.load, MultiStream)) for one in columns]
    return Track(
        seconds=float(lengths.sum()),
        due=_joined([_due(one, first) + start for one, first, start in zip(columns, firsts, starts, strict=True)]),
        response=_joined([_greatest(one.response_time, first) for one, first in zip(columns, firsts, strict=True)]),
        service=_joined([_greatest(one.service_time, first) for one, first in zip(columns, firsts, strict=True)]),
        done=_joined([_done(block) + start for block, start in zip(blocks, starts, strict=True)]),
        failed=_joined([_failed(block) + start for block, start in zip(blocks, starts, strict=True)]),
    )


def _first_of_queries(columns: Columns, queries: bool) -> IntArray:
    """Where the requests of each query begin; a query is all that is due at once. Else every request."""
    if queries:
        return np.unique(columns.scheduled, return_index=True)[1]
    return np.arange(len(columns.scheduled))


def _due(columns: Columns, first: IntArray) -> FloatArray:
    return columns.scheduled[first] / NS


def _greatest(times: IntArray, first: IntArray) -> FloatArray:
    greatest: FloatArray = (np.maximum.reduceat(times, first) if len(first) else times) / NS
    return greatest


def _done(block: Block) -> FloatArray:
    return _within(block, unpack(block.scheduled) + unpack(block.response_time))


def _failed(block: Block) -> FloatArray:
    return _within(block, unpack(block.failed_at))


def _within(block: Block, times: IntArray) -> FloatArray:
    return times[(times >= 0) & (times < block.window_seconds * NS)] / NS


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate([np.empty(0), *parts])
