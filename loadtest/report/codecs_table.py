"""The cost of the codecs on a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from loadtest.codecs.benchmark import CodecsReport, FormResult
from loadtest.units import milliseconds


def codecs_table(report: CodecsReport) -> Group:
    """One line a form: microseconds for the smallest tensor, MB/s for the others; then JSON against orjson."""
    small, *larger = report.sizes
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("\n\nform", no_wrap=True)
    for title in (f"{small}\nµs", *(f"{size}\nMB/s" for size in larger), "heap\n×"):
        table.add_column(f"{title}\nread", justify="right")
        table.add_column("\n\nwrite", justify="right")
    for one in report.forms:
        table.add_row(one.form, *_costs(one, small, larger))
    machine, speed = report.machine, report.json_speed
    interval = speed.share_interval
    sureness = f" (95 % CI {interval.low:.2f}–{interval.high:.2f})" if interval else ""
    return Group(
        Text(f"A request read and an answer written, FP32; {report.rounds} rounds, seed {report.seed}"),
        Text(f"{machine.cpu}, {machine.cores} cores", style="dim"),
        Text(),
        table,
        Text(),
        Text("heap ×: the most of Python's heap in use during a call, in sizes of the tensor"),
        Text(
            f"JSON of {'×'.join(map(str, speed.shape))} FP32: {milliseconds(speed.seconds)} ms, "
            f"orjson alone {milliseconds(speed.orjson_seconds)} ms:\n{speed.share:.2f} of its speed{sureness}"
        ),
    )


def _costs(form: FormResult, small: str, larger: list[str]) -> list[str]:
    both = (form.decode, form.encode)
    return [
        *(f"{costs[small].seconds * 1e6:,.0f}" for costs in both),
        *(_compact(costs[size].bytes_per_second / 1e6) for size in larger for costs in both),
        *(f"{heap:.1f}" for heap in (form.decode_heap, form.encode_heap)),
    ]


def _compact(number: float) -> str:
    return f"{number:,.0f}" if number < 10_000 else f"{number / 1000:,.0f}k"
