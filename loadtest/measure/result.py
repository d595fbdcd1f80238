"""What the result file says of a target."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.results.block import Block
from loadtest.results.report import TargetResult
from loadtest.targets.target import Target


def result_of(
    target: Target,
    blocks: Sequence[Block],
    *,
    problem: str,
    largest_difference: float | None = None,
    first_payload: int = 0,
) -> TargetResult:
    """``target`` with all that was measured of it; the arguments are the result's."""
    return TargetResult(
        name=target.name,
        backend=target.backend,
        server=target.server,
        via=target.via,
        protocol=target.protocol,
        wire=target.wire,
        problem=problem,
        largest_difference=largest_difference,
        first_payload=first_payload,
        blocks=tuple(blocks),
    )
