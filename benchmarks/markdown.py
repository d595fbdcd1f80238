"""The table as Markdown, and into a page between its two marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.columns import TITLES, groups, parts_table, reservations, share, texts
from benchmarks.results import Cell, Result, ToolTimes
from benchmarks.table import PARTS_TITLE, about, remarks
from loadtest.units import milliseconds, per_second

BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


def markdown(result: Result) -> str:
    """Everything that ``result`` says."""
    parts = [about(result)]
    for title, cells in groups(result.cells):
        rows = [_line(TITLES), _line(["---", *["---:"] * (len(TITLES) - 1)]), *(_line(texts(cell)) for cell in cells)]
        parts += [f"**{title}**", "\n".join(rows), *map(_plain, reservations(cells))]
    if result.tools:
        parts += ["**Service times through other load testers**", "\n".join(_tools(result.tools, result))]
    if result.parts:
        titles, *uses = parts_table(result.parts)
        lines = [_line(titles), _line(["---", *["---:"] * (len(titles) - 1)]), *(_line(use) for use in uses)]
        parts += [f"**{PARTS_TITLE}**", "\n".join(lines)]
    parts.append("\n".join(f"- {_plain(remark)}" for remark in remarks(result)))
    return "\n\n".join(parts)


def write_into(page: Path, text: str) -> None:
    """Replace what stands between the marks of ``page``.

    Raises:
        ValueError: it has not both of them.
    """
    content = page.read_text(encoding="utf-8")
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the table: {BEGIN} and {END} are expected")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def _tools(tools: Sequence[ToolTimes], result: Result) -> Iterator[str]:
    yield _line(("tool", "server", "n", "p50 ms", "p99 ms", "req/s", "÷ direct", "ours: p50 ms"))
    yield _line(["---", "---", *["---:"] * 6])
    for one in tools:
        own = next((cell.p50 for cell in result.cells if _same(cell, one)), None)
        numbers = (milliseconds(one.p50), milliseconds(one.p99), per_second(one.throughput), share(one.rate_ratio))
        ours = milliseconds(own.value if own else None)
        yield _line((f"{one.tool}, {one.form}", one.server, str(one.connections), *numbers, ours))


def _same(cell: Cell, one: ToolTimes) -> bool:
    return (cell.server, cell.form, cell.connections) == (one.server, one.form, one.connections)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """What a server has said may hold marks of its own."""
    return text.replace("|", "\\|").replace("<", "&lt;")
