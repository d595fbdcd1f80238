"""Reads how loads are written on the command line; ``Load.spec`` writes them."""

from __future__ import annotations

from collections.abc import Callable

from loadtest.errors import BadSpec
from loadtest.load.loads import (
    SPEED_SUFFIX,
    AnyLoad,
    Bursts,
    ClosedLoop,
    Constant,
    MultiStream,
    Offline,
    Poisson,
    Ramp,
    Steps,
    Trace,
)

LEAST_RATE, MOST_RATE = 0.001, 10_000_000.0
LEAST_SPEED, MOST_SPEED = 0.01, 1_000_000.0
MOST_CONCURRENCY = 100_000
MOST_REQUESTS = 100_000_000
# MLPerf's: the requests of a multi-stream query, and the least number of samples of an offline run.
MLPERF_STREAMS = 8
MLPERF_OFFLINE = 24_576

FORMS = (
    "closed:CONCURRENCY, constant:RATE, poisson:RATE, bursts:RATExSIZE, steps:RATE,RATE,…, ramp:RATE-RATE, trace:FILE,"
    " trace:FILExSPEED, and MLPerf's single-stream, multi-stream:REQUESTS, server:RATE, offline:REQUESTS"
)


def parse_load(text: str) -> AnyLoad:
    """The load that ``text`` names, such as ``poisson:500``; rates are requests a second.

    Raises:
        BadSpec: it cannot be read, or nobody can do it.
    """
    kind, colon, value = text.partition(":")
    if not colon and kind in _ALONE:
        return _ALONE[kind]
    if kind not in _PARSERS or not value:
        raise BadSpec(f"'{text}' is no load; loads are {FORMS}")
    try:
        return _PARSERS[kind](value)
    except ValueError as error:
        raise BadSpec(f"load '{text}': {error}; loads are {FORMS}") from None


def _bursts(text: str) -> Bursts:
    rate, _, size = text.partition("x")
    return Bursts(rate=_rate(rate), size=_whole(size, MOST_CONCURRENCY))


def _ramp(text: str) -> Ramp:
    first, dash, last = text.partition("-")
    if not dash:
        raise ValueError(f"'{text}' should be two rates with a '-' between them")
    return Ramp(first=_rate(first), last=_rate(last))


def _trace(text: str) -> Trace:
    suffix = SPEED_SUFFIX.search(text)
    file = text[: suffix.start()] if suffix else text
    if not file:
        raise ValueError(f"'{text}' should be a file before the speed")
    return Trace(file=file, speed=_number(suffix[1], "speed", LEAST_SPEED, MOST_SPEED) if suffix else 1.0)


def _rate(text: str) -> float:
    return _number(text, "rate", LEAST_RATE, MOST_RATE)


def _number(text: str, what: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"the {what} '{text}' should be a number") from None
    if not least <= number <= most:  # nor is NaN
        raise ValueError(f"the {what} '{text}' should be from {least} to {most:,.0f}")
    return number


def _whole(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:20]) <= most:
        raise ValueError(f"'{text}' should be a whole number from 1 to {most:,}")
    return int(text)


_PARSERS: dict[str, Callable[[str], AnyLoad]] = {
    "closed": lambda text: ClosedLoop(concurrency=_whole(text, MOST_CONCURRENCY)),
    "constant": lambda text: Constant(rate=_rate(text)),
    "poisson": lambda text: Poisson(rate=_rate(text)),
    "bursts": _bursts,
    "steps": lambda text: Steps(rates=tuple(_rate(rate) for rate in text.split(","))),
    "ramp": _ramp,
    "trace": _trace,
    "multi-stream": lambda text: MultiStream(streams=_whole(text, MOST_CONCURRENCY)),
    "server": lambda text: Poisson(rate=_rate(text), mlperf="server"),
    "offline": lambda text: Offline(requests=_whole(text, MOST_REQUESTS)),
}

_ALONE: dict[str, AnyLoad] = {
    "single-stream": ClosedLoop(concurrency=1, mlperf="single-stream"),
    "multi-stream": MultiStream(streams=MLPERF_STREAMS),
    "offline": Offline(requests=MLPERF_OFFLINE),
}
