"""The table on a terminal of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from benchmarks.columns import TITLES, groups, parts_table, reservations, share, texts
from benchmarks.results import Result, ToolTimes
from loadtest.units import milliseconds, per_second

WIDTH = 80
PARTS_TITLE = "Where the gateway's CPU µs go: one request of 3 KB, one connection"
_WIDTHS = (9, 2, 7, 7, 7, 19, 7, 14)


def table(result: Result) -> str:
    """Everything that ``result`` says, on lines of at most 80 columns."""
    lines = [*_wrapped(about(result)), ""]
    for title, cells in groups(result.cells):
        lines += [title, _line(TITLES), "─" * WIDTH]
        lines += [_line(texts(cell)) for cell in cells]
        lines += [line for reason in reservations(cells) for line in _wrapped(reason)]
        lines.append("")
    if result.tools:
        lines += ["Service times through other load testers", *(_tool(one) for one in result.tools), ""]
    if result.parts:
        rows = parts_table(result.parts)
        lines += [
            PARTS_TITLE,
            *(f"  {name:<32}" + "".join(f"{cell:>9}" for cell in cells) for name, *cells in rows),
            "",
        ]
    for remark in remarks(result):
        lines += _wrapped(remark)
    return "\n".join(lines)


def about(result: Result) -> str:
    """Where and how it was measured."""
    where = result.environment
    return (
        f"{where.cpu}, {where.cores} cores, shared by servers and load tester; Python {where.python}. "
        f"{result.started}, {result.seconds / 60:.0f} minutes, {result.blocks} blocks of {result.window:g} s for each "
        f"line, in turns; load average before: {result.busy:.1f}, CPU taken by the host: {result.stolen_cpu:.1%}."
        + (" The quick run: intervals are wide." if result.quick else "")
    )


def remarks(result: Result) -> Iterator[str]:
    """One sentence for each server and each thing that was left out."""
    for server in result.servers:
        about_it = f": {server.remark}" if server.remark else ""
        differs = "" if server.difference is None else f"; answers within {server.difference:.1g} of direct calls"
        problem = f"; NOT GOOD: {server.problem}" if server.problem else ""
        yield f"{server.name}: {server.version}{about_it}{differs}{problem}"
    for each in result.left_out:
        yield f"Left out: {each}"


def _line(cells: Sequence[str]) -> str:
    first, *rest = cells
    texts_of = [f"{first:<{_WIDTHS[0]}}", *(f"{cell:>{width}}" for cell, width in zip(rest, _WIDTHS[1:], strict=True))]
    return " ".join(texts_of).rstrip()


def _tool(one: ToolTimes) -> str:
    return (
        f"  {one.tool:<6} {one.form:<4} {one.server:<7} {one.connections:>3} in flight:"
        f" p50, p99 {milliseconds(one.p50):>6}, {milliseconds(one.p99):>6} ms,"
        f" {per_second(one.throughput):>6}/s {share(one.rate_ratio):>4}".rstrip()
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
