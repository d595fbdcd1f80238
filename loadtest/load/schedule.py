"""When the requests of an open loop are due, fixed before the clock starts; the seed fixes them all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from loadtest.clock import NS
from loadtest.errors import BadSpec
from loadtest.load.loads import Bursts, Constant, Offline, OpenLoop, Poisson, Ramp, Steps, Trace
from loadtest.load.trace import read_trace

Times = npt.NDArray[np.int64]

# Due times are held in memory, eight bytes each, and so are the stamps of every answer.
MOST_REQUESTS = 100_000_000


def due_times(load: OpenLoop, seconds: float, seed: int) -> Times:
    """Due times in ns, ascending, from 0 up to but not at ``seconds``.

    A trace that is shorter just ends, one that is longer is cut. The requests of ``Offline`` are all due at 0.

    Raises:
        BadSpec: more than ``MOST_REQUESTS`` of them, or a trace that cannot be read.
    """
    _refuse_too_many(load, seconds)
    random = np.random.default_rng(seed)
    match load:
        case Constant(rate=rate):
            return _evenly(rate, 1, seconds)
        case Bursts(rate=rate, size=size):
            return _evenly(rate, size, seconds)
        case Poisson(rate=rate):
            return _poisson(rate, seconds, random)
        case Steps(rates=rates):
            step = seconds / len(rates)
            edges = [round(number * step * NS) for number in range(len(rates))]
            steps = [edge + _poisson(rate, step, random) for edge, rate in zip(edges, rates, strict=True)]
            return _before(np.concatenate(steps), seconds)
        case Ramp(first=first, last=last):
            return _ramp(first, last, seconds, random)
        case Trace(file=file, speed=speed):
            return _before(_replayed(file, speed), seconds)
        case Offline(requests=requests):
            return np.zeros(requests, dtype=np.int64)
    raise TypeError(f"{load!r} has no schedule")


def with_lead_in(load: OpenLoop, lead_in_ns: int, seconds: float, seed: int) -> Times:
    """``due_times`` with negative times before them, from ``-lead_in_ns`` on, at the load's first rate.

    Servers and connections are under load when the window opens. The lead-in is drawn from a stream of its own, so
    that its length changes nothing in the window. ``Offline`` has none: a server that has begun is not offline.
    """
    window = due_times(load, seconds, seed)
    before = _before_start(load, lead_in_ns / NS, np.random.SeedSequence(seed, spawn_key=(1,)))
    return np.concatenate((before, window))


def natural_seconds(load: OpenLoop) -> float | None:
    """How long the load is by itself: a trace's own length at its speed; None for all others.

    The last arrival of a trace has its share of the time, so that all of its arrivals are due in this time.
    """
    if not isinstance(load, Trace):
        return None
    times = _replayed(load.file, load.speed)
    return float(times[-1]) / NS * len(times) / (len(times) - 1)


def _evenly(rate: float, size: int, seconds: float) -> Times:
    """``size`` at once every ``size / rate`` seconds; each from its number, so that no error adds up."""
    bursts = np.arange(int(seconds * rate / size) + 2)
    return np.repeat(_before(np.rint(bursts * (size * NS / rate)), seconds), size)


def _poisson(rate: float, seconds: float, random: np.random.Generator) -> Times:
    # Given their number, the arrivals of a Poisson process are uniform over the time.
    return np.sort(random.uniform(0, seconds * NS, random.poisson(rate * seconds))).astype(np.int64)


def _ramp(first: float, last: float, seconds: float, random: np.random.Generator) -> Times:
    """An inhomogeneous Poisson process, exact: uniform shares of the arrivals, through the inverse of their course."""
    share = random.uniform(0, 1, random.poisson((first + last) / 2 * seconds))
    # The root of first·x + (last − first)·x²/2 = share·(first + last)/2, in the form that first = last does not break.
    moment = share * (first + last) / (first + np.sqrt(first**2 + share * (last**2 - first**2)))
    return _before(np.sort(moment * seconds * NS), seconds)


def _replayed(file: str, speed: float) -> Times:
    times: Times = np.rint(read_trace(file) / speed).astype(np.int64)
    return times


def _before(ascending: npt.NDArray[np.floating] | Times, seconds: float) -> Times:
    times: Times = ascending[: np.searchsorted(ascending, seconds * NS)].astype(np.int64)
    return times


def _before_start(load: OpenLoop, seconds: float, seed: np.random.SeedSequence) -> Times:
    match load:
        case Poisson(rate=rate) | Steps(rates=(rate, *_)) | Ramp(first=rate):
            return -1 - _poisson(rate, seconds, np.random.default_rng(seed))[::-1]
        case Constant(rate=rate):
            return _mirrored(_evenly(rate, 1, seconds + 1 / rate), seconds)
        case Bursts(rate=rate, size=size):
            return _mirrored(_evenly(rate, size, seconds + size / rate), seconds)
        case Trace(file=file, speed=speed):
            return _mirrored(_replayed(file, speed), seconds)
    return np.zeros(0, dtype=np.int64)


def _mirrored(times: Times, seconds: float) -> Times:
    """The beginning of ``times`` backwards: the same rate, with no random numbers where the load has none."""
    return -times[(times > 0) & (times <= seconds * NS)][::-1]


def _refuse_too_many(load: OpenLoop, seconds: float) -> None:
    match load:
        case Constant(rate=rate) | Bursts(rate=rate) | Poisson(rate=rate):
            mean = rate
        case Steps(rates=rates):
            mean = sum(rates) / len(rates)
        case Ramp(first=first, last=last):
            mean = (first + last) / 2
        case _:
            return  # their files and numbers are bounded themselves
    if mean * seconds > MOST_REQUESTS:
        raise BadSpec(
            f"'{load.spec}' for {seconds:g} s is {mean * seconds:,.0f} requests: at most {MOST_REQUESTS:,} are possible"
        )
