"""The parity gate's arithmetic: how far apart two participants' answers are, and whether that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np

from gateway.core.datatypes import NUMPY_DTYPE
from gateway.core.signatures import Signature
from model_store.definitions.base import Array
from model_store.errors import BuildFailed, ParityFailed
from model_store.manifest import PairParity

Tensors = Mapping[str, Array]
Answers = Mapping[str, Tensors]  # input set → outputs by name

BATCHES = (1, 7)
SEED = 20_240


class Difference(msgspec.Struct, frozen=True):
    """How one pair differs in one output for one set of inputs.

    Attributes:
        pair: the two participants.
        inputs: name of the set of inputs.
        output: name of the output.
        max_abs: largest absolute difference; infinite where either is not finite.
        max_rel: the same, relative to the largest magnitude in the output.
        top1_agreement: share of rows whose largest value stands in the same place; 1 for outputs without classes.
    """

    pair: tuple[str, str]
    inputs: str
    output: str
    max_abs: float
    max_rel: float
    top1_agreement: float


def parity_inputs(samples: Mapping[str, Tensors], signature: Signature) -> dict[str, dict[str, Array]]:
    """The gate's inputs by set name: every sample alone, seven together, and seeded random tensors, batch 1 and 7.

    Raises:
        BuildFailed: there are fewer samples than the largest batch needs.
    """
    largest = max(BATCHES)
    if len(samples) < largest:
        raise BuildFailed(f"the parity gate needs at least {largest} samples, the model has {len(samples)}")
    sets = {f"{name}-batch1": dict(tensors) for name, tensors in samples.items()}
    together = list(samples.values())[:largest]
    names = [spec.name for spec in signature.inputs]
    sets[f"samples-batch{largest}"] = {name: np.concatenate([sample[name] for sample in together]) for name in names}
    for batch in BATCHES:
        sets[f"random-batch{batch}"] = random_inputs(signature, batch)
    return sets


def random_inputs(signature: Signature, batch: int) -> dict[str, Array]:
    """Normally distributed inputs from a fixed seed; every free dimension has the size ``batch``."""
    generator = np.random.default_rng(SEED + batch)
    return {
        spec.name: generator.standard_normal([batch if size == -1 else size for size in spec.shape]).astype(
            NUMPY_DTYPE[spec.datatype]
        )
        for spec in signature.inputs
    }


def compare(answers: Mapping[str, Answers]) -> list[Difference]:
    """Every pair of participants, on every set of inputs, in every output.

    Args:
        answers: what each participant answered.

    Raises:
        ParityFailed: two participants do not even give outputs of the same names and shapes.
    """
    differences = []
    for first, second in combinations(answers, 2):
        for name, outputs in answers[first].items():
            others = answers[second][name]
            if {key: value.shape for key, value in outputs.items()} != {
                key: value.shape for key, value in others.items()
            }:
                raise ParityFailed(
                    f"{first} and {second} give outputs of other names or shapes for {name}: "
                    f"{_shapes(outputs)} against {_shapes(others)}"
                )
            differences += [_difference((first, second), name, key, outputs[key], others[key]) for key in outputs]
    return differences


def check(model: str, differences: Sequence[Difference], tolerance: float) -> None:
    """Raise ParityFailed, naming pair, inputs, measured and allowed, unless all differences are within bounds."""
    worst = max(differences, key=lambda difference: difference.max_abs)
    if not worst.max_abs <= tolerance:
        raise ParityFailed(
            f"{model}: {' and '.join(worst.pair)} differ by {worst.max_abs:.3g} in {worst.output!r} "
            f"for the inputs {worst.inputs!r}; {tolerance:.3g} is allowed"
        )
    torn = min(differences, key=lambda difference: difference.top1_agreement)
    if torn.top1_agreement < 1:
        raise ParityFailed(
            f"{model}: {' and '.join(torn.pair)} agree on the top class of only {torn.top1_agreement:.0%} of the rows "
            f"for the inputs {torn.inputs!r}; 100% is needed"
        )


def summarize(differences: Sequence[Difference], tolerance: float) -> dict[str, PairParity]:
    """The worst of each pair, by ``first-second``."""
    pairs = dict.fromkeys(difference.pair for difference in differences)
    return {
        "-".join(pair): PairParity(
            max_abs=max(found.max_abs for found in differences if found.pair == pair),
            max_rel=max(found.max_rel for found in differences if found.pair == pair),
            top1_agreement=min(found.top1_agreement for found in differences if found.pair == pair),
            tolerance=tolerance,
        )
        for pair in pairs
    }


def _difference(pair: tuple[str, str], inputs: str, output: str, first: Array, second: Array) -> Difference:
    a, b = first.astype(np.float64), second.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return Difference(pair, inputs, output, float("inf"), float("inf"), 0.0)
    max_abs = float(np.abs(a - b).max(initial=0.0))
    scale = float(max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0)))
    same = a.argmax(-1) == b.argmax(-1) if a.ndim > 1 else np.ones(1, bool)
    return Difference(pair, inputs, output, max_abs, max_abs / scale if scale else 0.0, float(same.mean()))


def _shapes(outputs: Tensors) -> dict[str, list[int]]:
    return {name: list(array.shape) for name, array in outputs.items()}
