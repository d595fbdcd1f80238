"""Throughput from raw stamps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loadtest.clock import NS
from loadtest.results.block import Block, unpack
from loadtest.statistics.blocks import LEAST_BLOCKS
from loadtest.statistics.estimate import Estimate
from loadtest.statistics.series import mean_estimate

# Fewer blocks than have an interval of their own are cut into so many slices.
_SLICES = 20


def block_rate(block: Block) -> float:
    """Good answers a second in the block's window; each counts with the share of its time that lies in the window.

    Counting completions instead would be off by up to a whole round of callers where answers take as long as windows.
    """
    return float(_slice_rates(block, 1)[0])


def throughput(blocks: Sequence[Block]) -> Estimate | None:
    """Good answers a second over all ``blocks``; None without one."""
    seconds = sum(block.window_seconds for block in blocks)
    if not seconds:
        return None
    rates = [_slice_rates(block, 1 if len(blocks) >= LEAST_BLOCKS else _SLICES) for block in blocks]
    value = sum(float(rate.mean()) * block.window_seconds for rate, block in zip(rates, blocks, strict=True)) / seconds
    estimate = mean_estimate(rates)
    return Estimate(value=value, interval=estimate.interval, method=estimate.method, enough=True)


def _slice_rates(block: Block, slices: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Good answers a second in each of ``slices`` equal parts of the window."""
    due = unpack(block.scheduled)
    taken = np.maximum(unpack(block.response_time), 1)
    length = block.window_seconds * NS / slices
    rates = np.empty(slices)
    for number in range(slices):
        low, high = number * length, (number + 1) * length
        inside = np.minimum(due + taken, high) - np.maximum(due, low)
        rates[number] = np.sum(np.maximum(inside, 0) / taken) / length * NS
    return rates
