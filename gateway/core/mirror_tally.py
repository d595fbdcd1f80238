"""What was found since the start when others were asked for the same as a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.core.differences import Difference
from gateway.core.mismatches import Mismatches


@dataclass(slots=True)
class MirrorTally:
    """The sums for one target.

    Attributes:
        outcomes: copies that were sent, by how they ended: ``ok``, ``differs``, or the reason of an error.
        dropped: copies that were not, by why.
        max_abs: largest absolute difference in any output; infinite where an answer had another form.
        max_rel: the same as a share of the output's largest magnitude.
        rows: how many rows had scores of classes on both sides.
        agreeing: how many of them had the same best class.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    max_abs: float = 0.0
    max_rel: float = 0.0
    rows: int = 0
    agreeing: int = 0

    def add(self, found: Sequence[Difference]) -> None:
        """Two answers were held against each other."""
        self.max_abs = max(self.max_abs, *(each.max_abs for each in found), 0.0)
        self.max_rel = max(self.max_rel, *(each.max_rel for each in found), 0.0)
        self.rows += sum(each.rows for each in found)
        self.agreeing += sum(each.agreeing for each in found)


@dataclass(slots=True, frozen=True)
class MirrorFindings:
    """Of all models of the process.

    Attributes:
        mismatches: what is kept to debug with.
        tallies: by model and version (``name/version``), and by the target's name.
    """

    mismatches: Mismatches
    tallies: dict[str, dict[str, MirrorTally]] = field(default_factory=dict)

    def tally(self, model: str, version: str, target: str) -> MirrorTally:
        """The one of ``target``, which exists from now on."""
        return self.tallies.setdefault(f"{model}/{version}", {}).setdefault(target, MirrorTally())
