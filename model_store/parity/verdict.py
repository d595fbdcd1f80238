"""Whether a model passes the gate, the sentence when it does not, and the few numbers that are kept of each pair."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from model_store.errors import ParityFailed
from model_store.parity.difference import Difference, agreement, worst_of
from model_store.parity.figures import percent


class PairParity(msgspec.Struct, frozen=True):
    """The worst of one pair: distances where they are the largest multiple of ``allowed``, the poorest agreement."""

    max_abs: float | int
    max_rel: float
    max_ulp: float
    allowed: float
    top1_agreement: float
    top5_agreement: float
    passed: bool


def check(model: str, differences: Sequence[Difference]) -> None:
    """Raise ParityFailed, naming pair, output, inputs, measured and allowed, unless the source's pairs all passed."""
    failed = [found for found in differences if found.gated and not found.passed]
    if not failed:
        return
    worst = worst_of(failed)
    pair = " and ".join(worst.pair)
    if worst.max_abs > worst.allowed:
        measured = f"{worst.max_abs}" if isinstance(worst.max_abs, int) else f"{worst.max_abs:.3g}"
        infinite = " (only one of them is NaN or Infinity there)" if measured == "inf" else ""
        raise ParityFailed(
            f"{model}: {pair} differ by {measured} in {worst.output!r} for the inputs {worst.inputs!r}{infinite}; "
            f"{worst.allowed:.3g} is allowed"
        )
    top1, _ = agreement([found for found in differences if (found.pair, found.output) == (worst.pair, worst.output)])
    raise ParityFailed(
        f"{model}: {pair} agree on the top class of only {percent(top1)} of the rows in {worst.output!r}, worst for "
        f"the inputs {worst.inputs!r}; {percent(worst.top1_needed)} is needed"
    )


def summarize(differences: Sequence[Difference]) -> dict[str, PairParity]:
    """The worst of each pair, by ``first-second``."""
    pairs: dict[tuple[str, str], dict[str, list[Difference]]] = {}
    for found in differences:
        pairs.setdefault(found.pair, {}).setdefault(found.output, []).append(found)
    return {"-".join(pair): _summary([*outputs.values()]) for pair, outputs in pairs.items()}


def _summary(outputs: Sequence[Sequence[Difference]]) -> PairParity:
    everything = [found for differences in outputs for found in differences]
    worst = worst_of(everything)
    top1, top5 = (min(shares) for shares in zip(*map(agreement, outputs), strict=True))
    passed = all(found.passed for found in everything)
    return PairParity(worst.max_abs, worst.max_rel, worst.max_ulp, worst.allowed, top1, top5, passed)
