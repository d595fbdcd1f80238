"""What a search for the highest load that meets an SLO found."""

from __future__ import annotations

from typing import Literal

from loadtest.results.block import Struct

Stage = Literal["double", "halve", "bisect", "validate"]


class Trial(Struct, frozen=True, kw_only=True):
    """One rate that was tried.

    Attributes:
        met: whether the SLO was met; None when the run was not valid.
        reason: what was not met, or why the run was not valid; empty when it was met.
        seconds: how long it was measured.
        measured: the SLO's metrics by name, in seconds, as a share or a second.
    """

    rate: float
    stage: Stage
    met: bool | None
    reason: str = ""
    seconds: float
    arrivals_seed: int
    measured: dict[str, float] = {}


class SearchResult(Struct, frozen=True, kw_only=True):
    """The answer lies between ``low``, which met the SLO in every validation, and ``high``, which did not (requests/s).

    ``low`` is 0 when no rate met it reliably. ``high`` is None when something else than the SLO ended the search, such
    as the generator's ceiling. ``reason`` is a sentence that says what ended it.
    """

    target: str
    slo: str
    low: float
    high: float | None
    reason: str
    trials: tuple[Trial, ...]
