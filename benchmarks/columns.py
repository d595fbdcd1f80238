"""One line of the table, as cells of text that both the terminal and the page show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.results import Cell, Part
from loadtest.statistics.estimate import Estimate
from loadtest.units import MISSING, milliseconds, per_second

TITLES = ("", "n", "p50 ms", "p99 ms", "req/s", "÷ direct (95 % CI)", "CPU µs", "RSS, peak MiB")
_MIB = 2**20


def groups(cells: Sequence[Cell]) -> Iterator[tuple[str, list[Cell]]]:
    """The cells of each form and size with its title, by form; ways and peers that were asked the same together."""
    found: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.form, cell.size, cell.bytes), []).append(cell)
    forms = list(dict.fromkeys(form for form, _, _ in found))
    for form, size, length in sorted(found, key=lambda key: (forms.index(key[0]), key[2])):
        yield f"{form}, {size} ({length:,} B)", _ordered(found[form, size, length])


def texts(cell: Cell) -> tuple[str, ...]:
    """What ``TITLES`` say. A percentile of too few samples is in parentheses."""
    if cell.problem:
        return (cell.server, str(cell.connections), *([MISSING] * (len(TITLES) - 2)))
    return (
        cell.server,
        str(cell.connections),
        _time(cell.p50),
        _time(cell.p99),
        per_second(cell.throughput.value if cell.throughput else None),
        ratio(cell.rate_ratio),
        MISSING if cell.cpu is None else f"{cell.cpu * 1e6:,.0f}",
        f"{cell.resident / _MIB:,.0f}, {cell.peak / _MIB:,.0f}",
    )


def reservations(cells: Sequence[Cell]) -> Iterator[str]:
    """A sentence for each of ``cells`` that has no numbers, or not the server's."""
    for cell in cells:
        if reason := cell.problem or "; ".join(cell.invalid):
            yield f"{cell.server}, {cell.connections}: {'' if cell.problem else 'INVALID: '}{reason}"


def ratio(estimate: Estimate | None) -> str:
    """Such as ``0.97 (0.94–1.01)``; empty without one."""
    if estimate is None:
        return ""
    interval = estimate.interval
    return _digits(estimate.value) + (f" ({_digits(interval.low)}–{_digits(interval.high)})" if interval else "")


def share(value: float | None) -> str:
    """Such as ``0.97``; empty without one."""
    return "" if value is None else _digits(value)


def parts_table(parts: Sequence[Part]) -> list[tuple[str, ...]]:
    """CPU µs of each part of the gateway by form, the forms first and the sum last."""
    forms = list(dict.fromkeys(part.form for part in parts))
    names = sorted({part.part for part in parts}, key=lambda name: -sum(_used(parts, form, name) for form in forms))
    rows = [(name, *(f"{_used(parts, form, name) * 1e6:,.0f}" for form in forms)) for name in names]
    sums = (sum(part.cpu for part in parts if part.form == form) for form in forms)
    return [("", *forms), *rows, ("together", *(f"{used * 1e6:,.0f}" for used in sums))]


def _used(parts: Sequence[Part], form: str, name: str) -> float:
    return sum(part.cpu for part in parts if part.form == form and part.part == name)


def _ordered(cells: Sequence[Cell]) -> list[Cell]:
    """By connections. Direct calls were measured anew beside each peer: the first of them stand for all."""
    kept: dict[tuple[int, str], Cell] = {}
    for cell in cells:
        kept.setdefault((cell.connections, cell.server), cell)
    return [kept[key] for key in sorted(kept, key=lambda key: key[0])]


def _time(estimate: Estimate | None) -> str:
    if estimate is None:
        return MISSING
    text = milliseconds(estimate.value)
    return text if estimate.enough else f"({text})"


def _digits(value: float) -> str:
    return f"{value:.2f}" if value >= 0.095 else f"{value:.3f}"
