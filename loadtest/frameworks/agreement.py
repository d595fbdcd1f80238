"""Do all frameworks compute the same? Asked before anything is timed, on exactly the batches that will be timed."""

from __future__ import annotations

from typing import NamedTuple

from loadtest.frameworks.batches import original_answers
from loadtest.frameworks.worker import Answers
from model_store.errors import ParityFailed
from model_store.parity.compare import compare
from model_store.parity.difference import SOURCE
from model_store.parity.pair import Answers as Sets
from model_store.parity.verdict import check
from model_store.store import StoredModel


class Agreement(NamedTuple):
    """How one framework's answers compare with the original's.

    Attributes:
        largest_difference: the largest absolute one; None where they cannot be compared.
        problem: what is wrong; empty when nothing is.
    """

    largest_difference: float | None
    problem: str


def agree(stored: StoredModel, answers: dict[str, Answers], batches: tuple[int, ...]) -> dict[str, Agreement]:
    """Compare every framework's answers with the original's, within the model's own tolerance.

    Where the store does not have the original's answers, those of the first framework stand for them.
    """
    if not answers:
        return {}
    kept = {rows: original_answers(stored, rows) for rows in batches}
    known: Answers = {rows: expected for rows, expected in kept.items() if expected is not None}
    reference = _sets(known if len(known) == len(batches) else next(iter(answers.values())))
    return {framework: _agreement(stored, framework, reference, _sets(own)) for framework, own in answers.items()}


def _agreement(stored: StoredModel, framework: str, reference: Sets, own: Sets) -> Agreement:
    manifest = stored.manifest
    try:
        differences = compare(
            {SOURCE: reference, framework: own},
            manifest.model_signature(),
            manifest.tolerance,
            manifest.scores_output,
        )
        largest = max((float(one.max_abs) for one in differences), default=0.0)
    except ParityFailed as error:
        return Agreement(None, f"wrong answer: {error}")
    try:
        check(manifest.name, differences)
    except ParityFailed as error:
        return Agreement(largest, f"wrong answer: {error}")
    return Agreement(largest, "")


def _sets(answers: Answers) -> Sets:
    return {
        f"batch {rows}, number {number}": outputs
        for rows, batches in answers.items()
        for number, outputs in enumerate(batches, start=1)
    }
