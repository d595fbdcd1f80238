"""Weighted mixes of models, as a person writes them: ``digits-mlp:3,efficientnet-lite0:1``."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loadtest.errors import BadSpec
from loadtest.payloads.workload import Payload, Workload

_ENTRY = re.compile(
    r"(?P<name>[^/:,=\s]+)(?:/(?P<version>[^/:,=\s]+))?(?::(?P<weight>\d{1,9}(?:\.\d{1,9})?))?", re.ASCII
)


@dataclass(slots=True, frozen=True)
class ModelShare:
    """A model and how often it is asked, relative to the others; ``version`` empty for the default one."""

    name: str
    version: str
    weight: float


def parse_mix(text: str) -> list[ModelShare]:
    """The models in ``NAME[/VERSION][:WEIGHT],…``; the weight is 1 where none is given.

    Raises:
        BadSpec: it cannot be read, a weight is 0, or a model is named twice.
    """
    shares: list[ModelShare] = []
    for entry in text.split(","):
        found = _ENTRY.fullmatch(entry.strip())
        weight = float(found["weight"] or 1) if found is not None else 0.0
        if found is None or not weight > 0:
            raise BadSpec(
                f"model {text!r} cannot be read at {entry.strip()!r}; "
                "NAME[/VERSION][:WEIGHT], separated by commas, with weights above 0 is expected"
            )
        shares.append(ModelShare(found["name"], found["version"] or "", weight))
    if len({share.name for share in shares}) < len(shares):
        raise BadSpec(f"model {text!r} names a model twice")
    return shares


def mixed(parts: Sequence[tuple[float, Sequence[Payload]]]) -> Workload:
    """The workload of each model's weight and payloads: a model's weight is shared by its payloads; all add up to 1."""
    total = math.fsum(weight for weight, _ in parts)
    return Workload(
        tuple(
            replace(payload, weight=weight / total / len(payloads))
            for weight, payloads in parts
            for payload in payloads
        )
    )
