"""The kinds of load. Each has a ``spec``, which is how it is written on the command line and its name in results."""

from __future__ import annotations

import re

import msgspec
import numpy as np

# How a trace's spec ends when it is not replayed at its own speed.
SPEED_SUFFIX = re.compile(r"x([0-9.]+)$")


class Load(msgspec.Struct, frozen=True, kw_only=True, tag_field="load", forbid_unknown_fields=True):
    """One kind of load. ``mlperf`` is MLPerf's name of the scenario when it was asked for by that; else empty."""

    mlperf: str = ""

    @property
    def spec(self) -> str:
        """Such as ``closed:8``: unique in a report, and what ``parse_load`` reads."""
        raise NotImplementedError

    @property
    def title(self) -> str:
        """For people, such as ``Closed loop, 8 in flight``."""
        raise NotImplementedError

    @property
    def peak_rate(self) -> float | None:
        """The most requests a second that are asked for; None where answers or a file decide."""
        return None


class ClosedLoop(Load, frozen=True, kw_only=True, tag="closed"):
    """``concurrency`` callers, each of which sends its next request when the answer to the last is there."""

    concurrency: int

    @property
    def spec(self) -> str:
        return self.mlperf or f"closed:{self.concurrency}"

    @property
    def title(self) -> str:
        name = f"{self.mlperf} (MLPerf)" if self.mlperf else "Closed loop"
        return f"{name}, {self.concurrency} in flight"


class MultiStream(Load, frozen=True, kw_only=True, tag="multi-stream"):
    """MLPerf's multi-stream: a query of ``streams`` requests at once; the next when all of them are answered.

    All requests of a query are due at its start, so a query's response time is the greatest of its requests'.
    """

    streams: int
    mlperf: str = "multi-stream"

    @property
    def spec(self) -> str:
        return f"multi-stream:{self.streams}"

    @property
    def title(self) -> str:
        return f"multi-stream (MLPerf), {self.streams} requests in a query"


class OpenLoop(Load, frozen=True, kw_only=True):
    """Requests are due when a schedule says so, whatever the server does."""


class Constant(OpenLoop, frozen=True, kw_only=True, tag="constant"):
    """One request every ``1 / rate`` seconds."""

    rate: float

    @property
    def spec(self) -> str:
        return f"constant:{_exact(self.rate)}"

    @property
    def title(self) -> str:
        return f"Open loop, {self.rate:,.4g} requests/s (constant)"

    @property
    def peak_rate(self) -> float:
        return self.rate


class Poisson(OpenLoop, frozen=True, kw_only=True, tag="poisson"):
    """Independent arrivals, ``rate`` a second in the mean."""

    rate: float

    @property
    def spec(self) -> str:
        return f"{self.mlperf or 'poisson'}:{_exact(self.rate)}"

    @property
    def title(self) -> str:
        name = f"{self.mlperf} (MLPerf)" if self.mlperf else "Open loop"
        return f"{name}, {self.rate:,.4g} requests/s (Poisson)"

    @property
    def peak_rate(self) -> float:
        return self.rate


class Bursts(OpenLoop, frozen=True, kw_only=True, tag="bursts"):
    """Bursts of ``size`` requests at once, at a constant distance, ``rate`` requests a second in the mean."""

    rate: float
    size: int

    @property
    def spec(self) -> str:
        return f"bursts:{_exact(self.rate)}x{self.size}"

    @property
    def title(self) -> str:
        return f"Open loop, {self.rate:,.4g} requests/s in bursts of {self.size}"

    @property
    def peak_rate(self) -> float:
        return self.rate


class Steps(OpenLoop, frozen=True, kw_only=True, tag="steps"):
    """Poisson arrivals whose rate goes through ``rates``, each for an equal share of the time."""

    rates: tuple[float, ...]

    @property
    def spec(self) -> str:
        return "steps:" + ",".join(map(_exact, self.rates))

    @property
    def title(self) -> str:
        return f"Open loop, steps of {', '.join(f'{rate:,.4g}' for rate in self.rates)} requests/s (Poisson)"

    @property
    def peak_rate(self) -> float:
        return max(self.rates)


class Ramp(OpenLoop, frozen=True, kw_only=True, tag="ramp"):
    """Poisson arrivals whose rate goes evenly from ``first`` to ``last``."""

    first: float
    last: float

    @property
    def spec(self) -> str:
        return f"ramp:{_exact(self.first)}-{_exact(self.last)}"

    @property
    def title(self) -> str:
        return f"Open loop, ramp from {self.first:,.4g} to {self.last:,.4g} requests/s (Poisson)"

    @property
    def peak_rate(self) -> float:
        return max(self.first, self.last)


class Trace(OpenLoop, frozen=True, kw_only=True, tag="trace"):
    """The arrivals that ``file`` lists, ``speed`` times as fast as they were recorded."""

    file: str
    speed: float = 1.0

    @property
    def spec(self) -> str:
        # A file whose name ends like a speed needs the speed behind it.
        shown = self.speed != 1 or SPEED_SUFFIX.search(self.file) is not None
        return f"trace:{self.file}" + (f"x{_exact(self.speed)}" if shown else "")

    @property
    def title(self) -> str:
        return f"Open loop, replay of {self.file}" + (f" at {self.speed:g} times its speed" if self.speed != 1 else "")


class Offline(OpenLoop, frozen=True, kw_only=True, tag="offline"):
    """MLPerf's offline: everything is due at once, and no more than the in-flight bound is under way at a time.

    The server takes the requests as fast as it can; ``requests`` is their number.
    """

    requests: int
    mlperf: str = "offline"

    @property
    def spec(self) -> str:
        return f"offline:{self.requests}"

    @property
    def title(self) -> str:
        return f"offline (MLPerf), {self.requests:,} requests at once"


AnyLoad = ClosedLoop | MultiStream | Constant | Poisson | Bursts | Steps | Ramp | Trace | Offline


def _exact(number: float) -> str:
    """The shortest decimal without an exponent that is read as the same number."""
    return np.format_float_positional(number, trim="-")
