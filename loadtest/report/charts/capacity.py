"""Latency against throughput over all loads of one kind, with the knee of each curve marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.load.loads import AnyLoad, Bursts, ClosedLoop, Constant, MultiStream, Poisson
from loadtest.report.charts.series import Series
from loadtest.report.charts.svg import WIDTH, Frame, group, milliseconds_ticks, picture, plain_ticks
from loadtest.report.scales import LinearScale, LogScale
from loadtest.search.knee import knee
from loadtest.units import milliseconds, per_second

_LEFT, _RIGHT = 64, WIDTH - 36


@dataclass(slots=True, frozen=True)
class Point:
    """One load of a curve; ``latency`` in seconds."""

    load: str
    throughput: float
    latency: float


@dataclass(slots=True, frozen=True)
class Curve:
    """One target over all loads of a kind, from the lowest."""

    one: Series
    points: tuple[Point, ...]


def intensity(load: AnyLoad) -> float | None:
    """What the loads of one kind differ in; None for kinds that have no such number."""
    match load:
        case ClosedLoop(concurrency=number) | MultiStream(streams=number):
            return float(number)
        case Constant(rate=rate) | Poisson(rate=rate) | Bursts(rate=rate):
            return rate
    return None


def curves(measured: Sequence[tuple[AnyLoad, Sequence[Series]]], share: float) -> dict[str, list[Curve]]:
    """Curves of at least three points with enough samples for percentile ``share``, by kind of load."""
    found: dict[str, dict[str, list[tuple[float, Series, Point]]]] = {}
    for load, series in measured:
        strength = intensity(load)
        for one in series:
            latency, rate = one.row.response.percentiles.get(share), one.row.throughput
            if strength is not None and latency and latency.enough and rate and not one.row.problem:
                point = Point(load.title, rate.value, latency.value)
                kind = type(load).__struct_config__.tag
                found.setdefault(str(kind), {}).setdefault(one.label, []).append((strength, one, point))
    return {
        kind: drawn
        for kind, targets in found.items()
        if (drawn := [_curve(points) for points in targets.values() if len(points) >= 3])
    }


def capacity(drawn: Sequence[Curve], share: float) -> str:
    """One line a target through its loads."""
    points = [point for curve in drawn for point in curve.points]
    name = f"p{share * 100:g} response time, ms"
    across = LinearScale(0, max(point.throughput for point in points) * 1.02, _LEFT, _RIGHT)
    upward = LogScale(
        min(point.latency for point in points) / 1.1, max(point.latency for point in points) * 1.1, 330, 28
    )
    frame = Frame(across, upward)
    parts = [frame.grid(plain_ticks(across.ticks()), milliseconds_ticks(upward.ticks()))]
    for curve in drawn:
        line = [(point.throughput, point.latency) for point in curve.points]
        parts.append(frame.line(line, f"line {curve.one.look}", curve.one.label))
    for curve in drawn:
        parts += [_dot(curve, point, frame) for point in curve.points]
        parts += _knee(curve, frame)
    parts.append(frame.titles("good answers a second", name))
    return picture(374, "Latency against throughput", parts)


def _curve(points: list[tuple[float, Series, Point]]) -> Curve:
    ordered = sorted(points, key=lambda entry: entry[0])
    return Curve(ordered[0][1], tuple(point for _, _, point in ordered))


def _dot(curve: Curve, point: Point, frame: Frame) -> str:
    x, y = frame.across(point.throughput), frame.upward(point.latency)
    title = (
        f"{curve.one.label}, {point.load}: {per_second(point.throughput)} requests/s, {milliseconds(point.latency)} ms"
    )
    return group(title, [f'<circle class="dot {curve.one.look}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'])


def _knee(curve: Curve, frame: Frame) -> list[str]:
    index = knee([(point.throughput, point.latency) for point in curve.points])
    if index is None:
        return []
    point = curve.points[index]
    x, y = frame.across(point.throughput), frame.upward(point.latency)
    title = f"Knee of {curve.one.label}: {point.load}, the most throughput for its latency"
    return [group(title, [f'<circle class="knee {curve.one.look}" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'])]
