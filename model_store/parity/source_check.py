"""Checks on the source itself, before anything is converted: no artefact can agree with a model that wavers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from gateway.core.signatures import Signature
from model_store.errors import BuildFailed
from model_store.parity.compare import compare
from model_store.parity.difference import SOURCE, Difference, worst_of
from model_store.parity.inputs import is_random
from model_store.parity.pair import Answers
from model_store.parity.tolerance import FLOATS, Tolerance
from model_store.parity.values import Array, Tensors, as_floats

_ADVICE = "put it in evaluation mode, and remove dropout and random operators"


def check_source(
    model: str,
    sets: Mapping[str, Tensors],
    answers: Answers,
    again: Answers,
    signature: Signature,
    tolerance: Tolerance,
    scores_output: str | None = None,
) -> None:
    """Raise BuildFailed unless the source can be served: the same answer every time, finite, alone as in a batch.

    Args:
        model: its name.
        sets: the sets of inputs that ``parity_inputs`` made.
        answers: the source's answers to them.
        again: its answers when asked once more.
        signature: the model's.
        tolerance: how far apart a row's answers alone and in a batch may be.
        scores_output: see ``compare``.
    """
    _check_repeatable(model, answers, again, signature, scores_output)
    _check_finite(model, answers, signature)
    if signature.batched:
        _check_rows(model, sets, answers, signature)
        alone = _answers_in_smallest_batch(model, sets, answers)
        _check_independent(model, compare({SOURCE: alone, "batch": answers}, signature, tolerance, scores_output))


def _check_repeatable(model: str, answers: Answers, again: Answers, signature: Signature, scores: str | None) -> None:
    # With the default tolerance: a user's own is for the engines and excuses no randomness.
    found = compare({SOURCE: answers, "again": again}, signature, Tolerance(), scores)
    if worst := _worst_failure(found):
        raise BuildFailed(
            f"{model} is not deterministic: output {worst.output!r} differs {_measure(worst)} between two runs on the "
            f"same inputs ({worst.inputs}); {_ADVICE}"
        )


def _check_finite(model: str, answers: Answers, signature: Signature) -> None:
    for name, outputs in answers.items():
        for spec in signature.outputs:
            if is_random(name) or spec.datatype not in FLOATS:
                continue
            if not np.isfinite(as_floats(outputs[spec.name], spec.datatype)).all():
                raise BuildFailed(f"{model} answers NaN or Infinity in output {spec.name!r} for the inputs {name!r}")


def _check_rows(model: str, sets: Mapping[str, Tensors], answers: Answers, signature: Signature) -> None:
    for name, outputs in answers.items():
        rows = _rows(sets[name])
        for spec in signature.outputs:
            if len(outputs[spec.name]) != rows:
                raise BuildFailed(
                    f"{model} answers a batch of {rows} with {len(outputs[spec.name])} rows in output {spec.name!r} "
                    f"({name}): a server could not split a batch's answer"
                )


def _check_independent(model: str, differences: list[Difference]) -> None:
    if worst := _worst_failure(differences):
        raise BuildFailed(
            f"{model}: what output {worst.output!r} holds for a row depends on the other rows of its batch: it differs "
            f"{_measure(worst)} from the same row in a smaller batch ({worst.inputs}, row {worst.worst_row}), and "
            f"servers put rows of many callers together; {_ADVICE}, or fix the batch size in the model"
        )


def _answers_in_smallest_batch(
    model: str, sets: Mapping[str, Tensors], answers: Answers
) -> dict[str, dict[str, Array]]:
    """Each set's answers put together from those that its rows got in the smallest batch they stand in."""
    first: dict[bytes, tuple[str, int]] = {}
    together: dict[str, dict[str, Array]] = {}
    for name in sorted(sets, key=lambda name: _rows(sets[name])):
        places = [first.setdefault(_key(sets[name], row), (name, row)) for row in range(_rows(sets[name]))]
        together[name] = {
            output: _collect(model, output, array, [answers[where][output][row : row + 1] for where, row in places])
            for output, array in answers[name].items()
        }
    return together


def _collect(model: str, output: str, array: Array, rows: list[Array]) -> Array:
    other = next((row for row in rows if row.shape[1:] != array.shape[1:]), None)
    if other is not None:
        raise BuildFailed(
            f"{model}: the shape of output {output!r} depends on the other rows of its batch: a row is "
            f"{[*other.shape[1:]]} in one and {[*array.shape[1:]]} in another; fix the output's shape or the batch size"
        )
    return np.concatenate(rows)


def _key(inputs: Tensors, row: int) -> bytes:
    """Equal for equal rows."""
    digest = hashlib.sha256()
    for name, array in inputs.items():
        one = array[row : row + 1]
        content = repr(one.tolist()).encode() if one.dtype.hasobject else one.tobytes()
        digest.update(f"{name} {one.shape} {len(content)} ".encode() + content)
    return digest.digest()


def _rows(tensors: Tensors) -> int:
    return len(next(iter(tensors.values())))


def _worst_failure(differences: list[Difference]) -> Difference | None:
    failed = [found for found in differences if not found.passed]
    return worst_of(failed) if failed else None


def _measure(found: Difference) -> str:
    return f"by {found.max_abs:.3g}" if found.max_abs else f"in the top class of {1 - found.top1:.0%} of the rows"
