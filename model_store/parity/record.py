"""What ``parity.json`` holds."""

from __future__ import annotations

import msgspec

from model_store.parity.difference import Difference
from model_store.parity.verdict import PairParity


class Failure(msgspec.Struct, frozen=True):
    """A route that did not lead to an artefact, and why."""

    route: str
    reason: str


class ParityReport(msgspec.Struct, frozen=True):
    """``parity.json``. A distance of null is infinite: NaN or Infinity on one side only.

    Attributes:
        model: its name.
        version: of the model.
        passed: whether every engine agrees with the source.
        participants: the source and the engines → what they are.
        pairs: the worst of each pair, by ``first-second``.
        accuracy: participant or variant → metric → value.
        routes: target → how its artefact was made.
        failed: targets without an artefact → what was tried.
        latency: target → batch size → median in milliseconds.
        differences: every single one.
    """

    model: str
    version: str
    passed: bool
    participants: dict[str, str]
    pairs: dict[str, PairParity]
    accuracy: dict[str, dict[str, float]]
    routes: dict[str, str]
    failed: dict[str, list[Failure]]
    latency: dict[str, dict[str, float]]
    differences: list[Difference]
