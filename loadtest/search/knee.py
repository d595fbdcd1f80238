"""Where a sweep's curve of latency against throughput turns: the load that makes the best of the server."""

from __future__ import annotations

import math
from collections.abc import Sequence

Point = tuple[float, float]


def knee(points: Sequence[Point]) -> int | None:
    """The index of the point with the greatest power; ``points`` are (throughput, latency) in the order of the load.

    Power is throughput ÷ latency (Kleinrock 1979): up to its maximum, more load buys more throughput than it costs in
    latency. On an M/M/1 queue that is at half the capacity. None where the curve does not turn: fewer than three
    points with positive numbers, or power still rising at the last of them.
    """
    usable = [index for index, point in enumerate(points) if all(math.isfinite(value) and value > 0 for value in point)]
    if len(usable) < 3:
        return None
    best = max(usable, key=lambda index: points[index][0] / points[index][1])
    return best if best != usable[-1] else None
