"""The report as one page that needs no network: everything, styles and pictures, is inside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files

from model_store.parity.chart import MOST_SETS, dot, ulp_chart
from model_store.parity.difference import SOURCE, Difference, agreement, worst_of
from model_store.parity.figures import MISSING, figure, percent
from model_store.parity.record import ParityReport
from model_store.parity.tolerance import FLOATS

Group = tuple[tuple[str, str], str]  # pair and output

_VERDICT = "Verdict"
_EXPLANATION = """
<p><b>Scale</b> is the largest magnitude of the output over a set of inputs, or over a typical set if that is larger.
<b>Max rel</b> is the largest absolute difference as a share of it. <b>ULP</b> is the same in units in the last place:
how many of the smallest steps that the output's datatype can make at that scale. Integers, booleans and text are exact,
and their unit is 1.</p>
<p><b>Top-1</b> is the share of rows in which both hold the same class for the best; two classes whose scores are nearer
than what is allowed are tied, and either may win. <b>Top-5</b> is the overlap of the five best classes.</p>
<p><b>Verdict</b>: every engine has to agree with the source, which is the model in its own framework. What two engines
differ from each other is information: each within its bounds, they may be twice as far apart.</p>
"""


def render_page(report: ParityReport) -> str:
    """The page for ``report``."""
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Parity of {escape(report.model)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{style}</style></head>\n<body><main>" + "\n".join(_parts(report)) + "</main></body></html>\n"
    )


def _parts(report: ParityReport) -> Iterator[str]:
    groups = _groups(report.differences)
    yield f"<h1>{escape(report.model)} <small>version {escape(report.version)}, parity</small></h1>"
    yield _verdict(report)
    for target, attempts in report.failed.items():
        tried = "".join(f"<li><b>{escape(one.route)}</b>: {escape(one.reason)}</li>" for one in attempts)
        yield f'<div class="warning">No artefact for {escape(target)}. What was tried:<ul>{tried}</ul></div>'
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(what)}</dd>" for name, what in report.participants.items())
    yield f"<dl>{facts}</dl>"
    if groups:
        yield f"<section><h2>Pairs and outputs</h2>{_summary_table(groups, report.accuracy)}</section>"
    yield from _charts(groups)
    if report.routes:
        yield f"<section><h2>Artefacts</h2>{_artifacts_table(report)}</section>"
    if report.accuracy:
        yield f"<section><h2>Accuracy</h2>{_accuracy_table(report.accuracy)}</section>"
    if groups:
        details = "".join(_details(pair, output, group) for (pair, output), group in groups.items())
        yield f"<section><h2>By set of inputs</h2>{details}</section>"
    yield f'<section class="notes"><h2>How to read this</h2>{_EXPLANATION}</section>'


def _groups(differences: Sequence[Difference]) -> dict[Group, list[Difference]]:
    """By pair and output, the source's pairs first; within each the samples, then batches by size."""
    found: dict[Group, list[Difference]] = {}
    for difference in sorted(differences, key=lambda one: (not one.gated, _set_order(one))):
        found.setdefault((difference.pair, difference.output), []).append(difference)
    return found


def _set_order(found: Difference) -> tuple[int, int, str]:
    kinds = ("sample-", "samples-", "dataset-")
    kind = next((index for index, prefix in enumerate(kinds) if found.inputs.startswith(prefix)), len(kinds))
    return kind, found.rows if kind else 0, found.inputs


def _verdict(report: ParityReport) -> str:
    failed = list(dict.fromkeys(found.pair[1] for found in report.differences if found.gated and not found.passed))
    if failed:
        return f'<p class="verdict bad">Not in agreement with the source: {escape(", ".join(failed))}.</p>'
    if not report.differences:
        return '<p class="verdict bad">Nothing was compared.</p>'
    sets = len({found.inputs for found in report.differences})
    return f'<p class="verdict good">Every engine agrees with the source, on {sets} sets of inputs.</p>'


def _summary_table(groups: Mapping[Group, Sequence[Difference]], accuracy: Mapping[str, Mapping[str, float]]) -> str:
    titles = ["Pair", "Output", "Datatype", "Max abs", "Max rel", "Max ULP", "Allowed abs", "Top-1", "Top-5"]
    rows = []
    for (pair, output), group in groups.items():
        worst, (top1, top5) = worst_of(group), agreement(group)
        texts = [" – ".join(pair), output, worst.datatype.value]
        numbers = [*_distances(worst), percent(top1), percent(top5)]
        if accuracy:
            found = accuracy.get(pair[1], {}).get("accuracy") if worst.gated else None
            numbers.append(MISSING if found is None else percent(found))
        rows.append(_row(texts, numbers, _mark(group), muted=not worst.gated))
    return _table([*titles, *(["Accuracy"] if accuracy else []), _VERDICT], rows, texts=3)


def _details(pair: tuple[str, str], output: str, group: Sequence[Difference]) -> str:
    titles = (
        "Inputs",
        "Rows",
        "Max abs",
        "Max rel",
        "Max ULP",
        "Allowed abs",
        "Top-1",
        "Top-5",
        "Worst row",
        _VERDICT,
    )
    rows = [
        _row(
            [found.inputs],
            [str(found.rows), *_distances(found), percent(found.top1), percent(found.top5), str(found.worst_row)],
            _mark([found]),
        )
        for found in group
    ]
    state = " open" if group[0].gated and not all(found.passed for found in group) else ""
    title = f"{escape(' – '.join(pair))}, <b>{escape(output)}</b> {_mark(group)}"
    return f"<details{state}><summary>{title}</summary>{_table(titles, rows, texts=1)}</details>"


def _charts(groups: Mapping[Group, Sequence[Difference]]) -> Iterator[str]:
    outputs: dict[str, dict[str, list[Difference]]] = {}
    for (pair, output), group in groups.items():
        for found in group if SOURCE in pair and group[0].datatype in FLOATS else ():
            outputs.setdefault(output, {}).setdefault(found.inputs, []).append(found)
    engines = list(dict.fromkeys(found.pair[1] for sets in outputs.values() for row in sets.values() for found in row))
    legend = "".join(f"<li>{dot(engine, engines)} {escape(engine)}</li>" for engine in engines)
    for output, sets in outputs.items():
        some = f", the {MOST_SETS} worst of {len(sets)} sets" if len(sets) > MOST_SETS else ""
        yield (
            f"<section><h2>Distance of {escape(output)} from the source{some}</h2>{ulp_chart(sets, engines)}"
            f'<ul class="legend">{legend}<li><span class="dashes"></span> allowed</li></ul></section>'
        )


def _artifacts_table(report: ParityReport) -> str:
    batches = list(dict.fromkeys(batch for medians in report.latency.values() for batch in medians))
    rows = []
    for target, route in report.routes.items():
        medians = report.latency.get(target, {})
        numbers = [figure(float(medians[batch])) if batch in medians else MISSING for batch in batches]
        rows.append(_row([target, route], numbers))
    return _table(["Target", "Route", *(f"ms, batch {batch}" for batch in batches)], rows, texts=2)


def _accuracy_table(accuracy: Mapping[str, Mapping[str, float]]) -> str:
    metrics = list(dict.fromkeys(metric for found in accuracy.values() for metric in found))
    rows = [
        _row([name], [f"{found[metric]:.4g}" if metric in found else MISSING for metric in metrics])
        for name, found in accuracy.items()
    ]
    return _table(["", *metrics], rows, texts=1)


def _distances(found: Difference) -> list[str]:
    return [figure(value) for value in (found.max_abs, found.max_rel, found.max_ulp, found.allowed)]


def _mark(group: Sequence[Difference]) -> str:
    if not group[0].gated:
        return '<span class="soft">information</span>'
    return '<span class="good">pass</span>' if all(found.passed for found in group) else '<span class="bad">fail</span>'


def _row(texts: Sequence[str], numbers: Sequence[str], mark: str = "", *, muted: bool = False) -> str:
    cells = [f"<td>{escape(text)}</td>" for text in texts]
    cells += [f'<td class="number">{escape(number)}</td>' for number in numbers]
    return f"<tr{' class=soft' if muted else ''}>{''.join(cells)}{f'<td>{mark}</td>' if mark else ''}</tr>"


def _table(titles: Sequence[str], rows: Sequence[str], *, texts: int) -> str:
    """``texts`` columns of words, then numbers, and perhaps a verdict."""
    head = "".join(
        f"<th{' class=number' if index >= texts and title != _VERDICT else ''}>{escape(title)}</th>"
        for index, title in enumerate(titles)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
