"""Compare what the participants answered: every pair, in every output, on every set of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from gateway.core.signatures import Signature
from model_store.errors import ParityFailed
from model_store.parity.difference import SOURCE, Difference
from model_store.parity.pair import Answers, Pair
from model_store.parity.tolerance import Tolerance
from model_store.parity.values import carries


def compare(
    answers: Mapping[str, Answers], signature: Signature, tolerance: Tolerance, scores_output: str | None = None
) -> list[Difference]:
    """Every pair of participants, in every output, on every set of inputs.

    Args:
        answers: what each participant answered, by its name.
        signature: the model's.
        tolerance: how far from the source an answer may be; two others may be twice as far apart.
        scores_output: the output with one score a class. With it, an output of one integer or text a row is a label,
            which may differ where the best scores are tied.

    Raises:
        ParityFailed: an output is missing, or has another name, shape or datatype.
    """
    participants = sorted(answers, key=lambda name: name != SOURCE)
    for name in participants:
        _check_form(name, answers[name], participants[0], answers[participants[0]], signature)
    scores = {spec.name: spec for spec in signature.outputs}[scores_output] if scores_output is not None else None
    differences = []
    for first, second in combinations(participants, 2):
        pair = Pair((first, second), answers[first], answers[second], signature.batched, tolerance, scores)
        for spec in signature.outputs:
            differences += pair.differences(spec)
    return differences


def _check_form(name: str, answers: Answers, reference: str, others: Answers, signature: Signature) -> None:
    """Raise ParityFailed unless ``answers`` have the signature's names and datatypes, and the shapes of ``others``."""
    if answers.keys() != others.keys():
        odd = sorted(answers.keys() ^ others.keys())
        raise ParityFailed(f"{name} and {reference} answered other sets of inputs: only one of them {', '.join(odd)}")
    expected = sorted(spec.name for spec in signature.outputs)
    for inputs, outputs in answers.items():
        if sorted(outputs) != expected:
            raise ParityFailed(
                f"{name} gives the outputs {sorted(outputs)} for the inputs {inputs!r}; the model's are {expected}"
            )
        for spec in signature.outputs:
            array, other = outputs[spec.name], others[inputs][spec.name]
            what = f"{name} gives {spec.name!r} for the inputs {inputs!r}"
            if not carries(array, spec.datatype):
                raise ParityFailed(f"{what} as numpy's {array.dtype}; the model's datatype is {spec.datatype}")
            if not spec.accepts_shape(array.shape):
                raise ParityFailed(f"{what} in the shape {[*array.shape]}; the model's is {[*spec.shape]}")
            if array.shape != other.shape:
                raise ParityFailed(f"{what} in the shape {[*array.shape]}; {reference} gives {[*other.shape]}")
