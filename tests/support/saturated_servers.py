"""Servers in simulated time, with as many requests under way as a limit allows: what becomes of the limit."""

import heapq
import random
from bisect import bisect_left
from collections import deque
from statistics import median


class Run:
    """What happened: when requests were answered, and the limit then."""

    def __init__(self):
        self.times = []
        self.limits = []

    def rate(self, start, end):
        """Answers a second from ``start`` to ``end``."""
        return (bisect_left(self.times, end) - bisect_left(self.times, start)) / (end - start)

    def limit(self, start, end):
        """The median."""
        return median(self.limits[bisect_left(self.times, start) : bisect_left(self.times, end)])

    def note(self, now, limit):
        self.times.append(now)
        self.limits.append(limit.limit)


def one_by_one(limit, *, servers, seconds_each, until, seed=1, even=False, draws=None):
    """``servers`` (a function of the time) that take ``seconds_each`` (another) on average for one request.

    ``draws`` makes, of a source of chance, what one takes in place of the mean; without it that is exponential.
    """
    draw, run, now, busy, queue, under_way = random.Random(seed), Run(), 0.0, [], deque(), 0
    while now < until:
        while under_way < limit.limit:
            under_way += 1
            queue.append(now)
        while queue and len(busy) < servers(now):
            mean = seconds_each(now)
            share = draw.uniform(0.8, 1.2) if even else draw.expovariate(1) if draws is None else draws(draw)
            took = mean * share
            heapq.heappush(busy, (now + took, queue.popleft()))
        now, began = heapq.heappop(busy)
        under_way -= 1
        limit.answered(now - began, now, crowded=True)
        run.note(now, limit)
    return run


def in_batches(limit, *, lanes, call, row, rows, until, seed=1):
    """Calls of up to ``rows`` requests, which take ``call`` and for each of them ``row`` seconds."""
    draw, run, now, calls, queue, under_way = random.Random(seed), Run(), 0.0, [], deque(), 0
    while now < until:
        while under_way < limit.limit:
            under_way += 1
            queue.append(now)
        while queue and len(calls) < lanes:
            batch = [queue.popleft() for _ in range(min(rows, len(queue)))]
            heapq.heappush(calls, (now + (call + row * len(batch)) * draw.uniform(0.9, 1.1), batch))
        now, batch = heapq.heappop(calls)
        for began in batch:
            under_way -= 1
            limit.answered(now - began, now, crowded=True)
            run.note(now, limit)
    return run
