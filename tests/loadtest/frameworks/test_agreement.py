from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.manifests import make_manifest

from loadtest.frameworks.agreement import agree
from loadtest.frameworks.worker import Answers
from model_store.parity.tolerance import Tolerance
from model_store.store import StoredModel


@pytest.fixture
def stored(tmp_path: Path) -> StoredModel:
    """Two samples, whose original answers are 1 and 2."""
    (tmp_path / "reference").mkdir()
    for name, value in (("a", 1.0), ("b", 2.0)):
        np.save(tmp_path / f"{name}.npy", np.zeros((1, 2), np.float32))
        np.savez(tmp_path / "reference" / f"sample-{name}.npz", y=np.full((1, 1), value, np.float32))
    manifest = make_manifest(
        "any",
        [("x", "FP32", (-1, 2))],
        [("y", "FP32", (-1, 1))],
        samples=("a.npy", "b.npy"),
        tolerance=Tolerance(absolute=0.01),
    )
    return StoredModel(tmp_path, manifest)


def answers(first: float, second: float) -> Answers:
    """To the two batches of one row and the two of two."""
    rows = np.array([[first], [second]], np.float32)
    return {1: [{"y": rows[:1]}, {"y": rows[1:]}], 2: [{"y": rows}, {"y": rows[::-1]}]}


def test_answers_within_the_models_tolerance_agree(stored: StoredModel) -> None:
    found = agree(stored, {"PyTorch": answers(1.0, 2.0), "Keras": answers(1.0, 2.005)}, (1, 2))
    assert (found["PyTorch"].largest_difference, found["PyTorch"].problem) == (0, "")
    assert found["Keras"].largest_difference == pytest.approx(0.005, rel=1e-3)
    assert found["Keras"].problem == ""


def test_the_originals_answers_decide_even_against_the_majority(stored: StoredModel) -> None:
    frameworks = {name: answers(1.0, 2.5) for name in ("PyTorch", "Keras")} | {"TensorFlow": answers(1.0, 2.0)}
    found = agree(stored, frameworks, (1, 2))
    assert found["TensorFlow"].problem == ""
    assert found["PyTorch"].problem == found["Keras"].problem.replace("Keras", "PyTorch")
    assert found["PyTorch"].problem == (
        "wrong answer: any: source and PyTorch differ by 0.5 in 'y' for the inputs 'batch 1, number 2'; 0.01 is allowed"
    )


def test_one_wrong_row_of_one_batch_size_is_enough(stored: StoredModel) -> None:
    wrong = answers(1.0, 2.0) | {2: answers(1.0, 3.0)[2]}
    assert "batch 2" in agree(stored, {"PyTorch": wrong}, (1, 2))["PyTorch"].problem


def test_an_answer_of_another_form_is_wrong(stored: StoredModel) -> None:
    flat = {rows: [{"y": one["y"][:, 0]} for one in batches] for rows, batches in answers(1.0, 2.0).items()}
    found = agree(stored, {"PyTorch": flat}, (1, 2))["PyTorch"]
    assert found.largest_difference is None
    assert found.problem.startswith("wrong answer: PyTorch gives 'y' for the inputs 'batch 1, number 1' in the shape")


def test_without_the_originals_answers_the_first_framework_stands_for_it(stored: StoredModel) -> None:
    for path in (stored.directory / "reference").iterdir():
        path.unlink()
    found = agree(stored, {"PyTorch": answers(5.0, 6.0), "Keras": answers(5.0, 7.0)}, (1, 2))
    assert found["PyTorch"].problem == ""
    assert found["Keras"].problem != ""


def test_nobody_to_compare(stored: StoredModel) -> None:
    assert agree(stored, {}, (1,)) == {}
