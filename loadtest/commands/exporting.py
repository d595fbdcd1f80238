"""Further files of a result, beside its JSON and its page."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loadtest.commands.options import Export
from loadtest.errors import ResultsError
from loadtest.report.csv import Cell, request_lines, summary_lines, write_csv
from loadtest.report.digest import Digest
from loadtest.report.hdr import save_histograms
from loadtest.report.markdown import markdown


def export(made: Digest, form: Export, path: Path) -> list[Path]:
    """Write ``made`` in ``form`` beside the result file ``path``; the files' paths.

    Raises:
        ResultsError: the directory or the disk does not take one.
    """
    try:
        match form:
            case Export.HISTOGRAMS:
                return save_histograms(made, path.with_suffix(""))
            case Export.MARKDOWN:
                written = path.with_suffix(".md")
                written.write_text(markdown(made), encoding="utf-8")
            case Export.CSV:
                written = _csv(path.with_suffix(".csv"), summary_lines(made))
            case Export.REQUESTS:
                written = _csv(path.with_suffix(".requests.csv"), request_lines(made.report))
    except OSError as error:
        raise ResultsError(f"cannot write --export {form.value} beside {path}: {error.strerror}") from None
    return [written]


def _csv(path: Path, lines: Iterable[Iterable[Cell]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_csv(lines, file)
    return path
