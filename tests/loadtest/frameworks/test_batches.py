from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.manifests import make_manifest

from loadtest.frameworks.batches import input_batches, original_answers
from model_store.store import StoredModel


def model(folder: Path, rows: Sequence[Sequence[int]]) -> StoredModel:
    """A model of one input with a sample a row of numbers."""
    for index, row in enumerate(rows):
        np.save(folder / f"{index}.npy", np.array([row], dtype=np.int64))
    samples = tuple(f"{index}.npy" for index in range(len(rows)))
    manifest = make_manifest("words", [("ids", "INT64", (-1, -1))], [("y", "FP32", (-1, 2))], samples=samples)
    return StoredModel(folder, manifest)


def batches(folder: Path, rows: Sequence[Sequence[int]], size: int) -> list[list[list[int]]]:
    return [batch["ids"].tolist() for batch in input_batches(model(folder, rows), size)]


def answer(folder: Path, sample: str, *rows: list[float]) -> None:
    (folder / "reference").mkdir(exist_ok=True)
    np.savez(folder / "reference" / f"sample-{sample}.npz", y=np.array(rows, np.float32))


def test_every_sample_begins_a_batch_and_the_next_ones_follow(tmp_path: Path) -> None:
    assert batches(tmp_path, [[1], [2], [3]], 2) == [[[1], [2]], [[2], [3]], [[3], [1]]]


def test_samples_go_round_in_a_batch_that_is_larger_than_their_number(tmp_path: Path) -> None:
    assert batches(tmp_path, [[1], [2]], 5) == [[[1], [2], [1], [2], [1]], [[2], [1], [2], [1], [2]]]


def test_samples_of_other_lengths_stand_in_batches_of_their_own(tmp_path: Path) -> None:
    assert batches(tmp_path, [[1], [2, 2], [3], [4, 4, 4]], 3) == [
        [[1], [3], [1]],
        [[2, 2], [2, 2], [2, 2]],
        [[3], [1], [3]],
        [[4, 4, 4], [4, 4, 4], [4, 4, 4]],
    ]


@pytest.mark.parametrize("size", [1, 4])
def test_all_inputs_of_a_batch_are_of_the_same_samples(tmp_path: Path, size: int) -> None:
    for index, length in enumerate((2, 3, 2)):
        ids = np.full((1, length), index, np.int64)
        np.savez(tmp_path / f"{index}.npz", ids=ids, mask=ids + 10)
    inputs = [(name, "INT64", (-1, -1)) for name in ("ids", "mask")]
    samples = tuple(f"{index}.npz" for index in range(3))
    manifest = make_manifest("words", inputs, [("y", "FP32", (-1, 2))], samples=samples)
    found = input_batches(StoredModel(tmp_path, manifest), size)
    assert [batch["ids"].shape for batch in found] == [(size, 2), (size, 3), (size, 2)]
    for batch in found:
        np.testing.assert_array_equal(batch["mask"], batch["ids"] + 10)


def test_a_sample_of_several_rows_gives_no_more_than_a_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.arange(6, dtype=np.int64).reshape(3, 2))
    manifest = make_manifest("words", [("ids", "INT64", (-1, -1))], [("y", "FP32", (-1, 2))], samples=("0.npy",))
    (batch,) = input_batches(StoredModel(tmp_path, manifest), 2)
    assert batch["ids"].tolist() == [[0, 1], [2, 3]]


def test_a_model_without_batches_gets_each_sample_as_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.arange(6, dtype=np.int64).reshape(3, 2))
    manifest = make_manifest("fixed", [("ids", "INT64", (3, 2))], [("y", "FP32", (3, 2))], samples=("0.npy",))
    (batch,) = input_batches(StoredModel(tmp_path, manifest), 1)
    assert batch["ids"].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_the_originals_answers_stand_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    stored = model(tmp_path, [[1], [2, 2], [3]])
    for sample, value in (("0", 1), ("1", 2), ("2", 3)):
        answer(tmp_path, sample, [value, -value])
    expected = original_answers(stored, 2)
    assert expected is not None
    assert [outputs["y"].tolist() for outputs in expected] == [
        [[1, -1], [3, -3]],
        [[2, -2], [2, -2]],
        [[3, -3], [1, -1]],
    ]


def test_answers_of_the_original_that_are_not_all_there_are_none(tmp_path: Path) -> None:
    stored = model(tmp_path, [[1], [2]])
    answer(tmp_path, "0", [1.0, -1.0])
    assert original_answers(stored, 1) is None
