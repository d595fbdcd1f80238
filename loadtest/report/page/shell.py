"""What every page has around it: one file that needs no network, styles inside."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import Path

from loadtest.errors import ResultsError
from loadtest.report import glossary
from loadtest.report.notes import Note


def render(title: str, parts: Iterable[str]) -> str:
    """The whole page."""
    style = (files(__package__) / "page.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<style>{style}</style></head>\n<body><main>" + "\n".join(parts) + "</main></body></html>\n"
    )


def save(page: str, path: Path) -> None:
    """Write ``page``, in a new folder if need be.

    Raises:
        ResultsError: the directory or the disk does not take it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"cannot write {path}: {error.strerror}") from None


def facts(known: dict[str, str]) -> str:
    """A list of names and values; those without a value are left out."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in known.items() if value)
    return f"<dl>{rows}</dl>" if rows else ""


def note(one: Note) -> str:
    """A sentence in a box whose colour says how loud it is."""
    return f'<p class="note {one.kind}">{escape(one.text)}</p>'


def drawn(title: str, picture: str, below: str = "") -> str:
    """A picture under its heading; empty without a picture."""
    return f"<figure><figcaption>{escape(title)}</figcaption>{picture}{below}</figure>" if picture else ""


def table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def cell(text: str, classes: str = "", title: str = "") -> str:
    """A cell with plain text."""
    named = f' class="{classes}"' if classes else ""
    hover = f' title="{escape(title)}"' if title else ""
    return f"<td{named}{hover}>{escape(text)}</td>"


def explanation() -> str:
    """How to read all this."""
    words = {
        "Response time": glossary.RESPONSE_TIME,
        "Service time": glossary.SERVICE_TIME,
        "INVALID": glossary.INVALID,
        "95 % CI": glossary.INTERVAL,
        "Grey": f"{glossary.GREY} {glossary.LEAST_SAMPLES}",
        "Errors": glossary.ERRORS,
        "Steady": glossary.STEADY,
    }
    said = "".join(f"<p><b>{escape(word)}</b> {escape(meaning)}</p>" for word, meaning in words.items())
    return f'<section class="reading"><h2>How to read this</h2>{said}</section>'
