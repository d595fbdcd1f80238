"""One line, dot or bar of the pictures: a row, its label and its look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from loadtest.measure.summary import Row
from loadtest.results.report import TargetResult

COLOURS = 8


@dataclass(slots=True, frozen=True)
class Series:
    """``look`` are CSS classes, ``label`` its name in legends."""

    label: str
    look: str
    row: Row

    @property
    def swatch(self) -> str:
        """A short piece of its line, for legends."""
        return (
            '<svg class="swatch" viewBox="0 0 34 10" width="34" height="10" aria-hidden="true">'
            f'<line class="line {self.look}" x1="1" x2="33" y1="5" y2="5"/></svg>'
        )


def joined(classes: Sequence[str]) -> str:
    """Those of ``classes`` that are not empty, as an attribute has them."""
    return " ".join(filter(None, classes))


def looks(targets: Sequence[TargetResult]) -> dict[str, str]:
    """CSS classes by name of the target: a colour each while colours last, else one a backend and gRPC in a tint.

    Direct calls are dashed where there are calls through the gateway too.
    """
    names = [target.name for target in targets]
    backends = list(dict.fromkeys(target.backend for target in targets))
    few = len(names) <= COLOURS
    both = len({target.via for target in targets}) > 1
    return {
        target.name: joined(
            (
                f"c{(names.index(target.name) if few else backends.index(target.backend)) % COLOURS}",
                target.via if both else "",
                "" if few else target.protocol.lower(),
            )
        )
        for target in targets
    }


def legend(series: Sequence[Series]) -> str:
    """The looks and names of all ``series`` that have any times."""
    items = "".join(f"<li>{one.swatch} {escape(one.label)}</li>" for one in series if one.row.requests)
    return f'<ul class="legend">{items}</ul>'
