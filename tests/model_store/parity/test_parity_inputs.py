from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.datatypes import NUMPY_DTYPE, Datatype
from gateway.core.signatures import Signature, TensorSpec
from model_store.errors import BuildFailed
from model_store.parity import inputs as inputs_module
from model_store.parity.inputs import dataset_rows, is_random, parity_inputs

F32 = np.float32


def model(*inputs, outputs=((-1, 2),)):
    specs = tuple(TensorSpec(name, datatype, shape) for name, datatype, shape in inputs)
    return Signature(specs, tuple(TensorSpec("y", Datatype.FP32, shape) for shape in outputs))


PLAIN = model(("x", Datatype.FP32, (-1, 3)))
TEXT = model(("ids", Datatype.INT64, (-1, -1)), ("mask", Datatype.INT64, (-1, -1)))


def plain_samples(count, rows=1):
    return {f"s{index}": {"x": np.full((rows, 3), index, F32)} for index in range(count)}


def text_sample(length, rows=1, low=5):
    ids = np.arange(low, low + rows * length).reshape(rows, length)
    mask = np.ones((rows, length), np.int64)
    mask[:, length - 1 :] = 0
    return {"ids": ids, "mask": mask}


def sizes(sets):
    return {name: len(next(iter(arrays.values()))) for name, arrays in sets.items()}


def test_samples_alone_and_batches_of_real_and_random_rows():
    sets = parity_inputs(plain_samples(2), {"d": {"x": np.ones((9, 3), F32)}}, PLAIN, 32)
    assert sizes(sets) == {
        "sample-s0": 1,
        "sample-s1": 1,
        **{f"samples-batch-{size}": size for size in (2, 7, 32)},
        **{f"dataset-batch-{size}": size for size in (1, 2, 7, 32)},
        **{f"random-batch-{size}": size for size in (1, 2, 7, 32)},
    }
    assert sets["samples-batch-7"]["x"][:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert [name for name in sets if is_random(name)] == [f"random-batch-{size}" for size in (1, 2, 7, 32)]


@pytest.mark.parametrize(
    ("largest", "batches"), [(0, [1]), (1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (7, [1, 2, 7]), (8, [1, 2, 7, 8])]
)
def test_no_batch_is_larger_than_the_largest_and_none_comes_twice(largest, batches):
    sets = parity_inputs(plain_samples(1), {}, PLAIN, largest)
    assert [size for name, size in sizes(sets).items() if name.startswith("random")] == batches


def test_samples_of_several_rows_are_cut_up_for_the_batches():
    sets = parity_inputs(plain_samples(2, rows=3), {}, PLAIN, 2)
    assert sizes(sets) == {
        "sample-s0": 3,
        "sample-s1": 3,
        "samples-batch-1": 1,
        "samples-batch-2": 2,
        "random-batch-1": 1,
        "random-batch-2": 2,
    }


def test_batches_hold_rows_of_the_sizes_that_most_rows_have():
    samples = {"a": text_sample(9), "b": text_sample(4), "c": text_sample(4, low=50)}
    sets = parity_inputs(samples, {}, TEXT, 7)
    assert sets["sample-a"]["ids"].shape == (1, 9)
    for name in ("samples-batch-7", "random-batch-7"):
        assert {array.shape for array in sets[name].values()} == {(7, 4)}
    assert sets["samples-batch-2"]["ids"][:, 0].tolist() == [5, 50]


def test_token_ids_stay_in_range_and_masks_hide_no_whole_row():
    sets = parity_inputs({"a": text_sample(5, rows=2)}, {}, TEXT, 64)
    ids, mask = sets["random-batch-64"]["ids"], sets["random-batch-64"]["mask"]
    assert ids.dtype == np.int64
    assert (ids.min(), ids.max()) == (5, 14)
    assert set(np.unique(mask)) == {0, 1}
    assert mask[:, 0].all()


def test_random_floats_look_like_the_samples():
    values = np.random.default_rng(1).normal(50, 3, (20, 3)).astype(F32)
    drawn = parity_inputs({"a": {"x": values}}, {}, PLAIN, 500)["random-batch-500"]["x"]
    assert drawn.dtype == F32
    assert drawn.mean() == pytest.approx(50, abs=1)
    assert drawn.std() == pytest.approx(3, rel=0.3)


def test_a_constant_stays_and_zeros_are_placeholders():
    assert (parity_inputs({"a": {"x": np.full((1, 3), 7, F32)}}, {}, PLAIN, 2)["random-batch-2"]["x"] == 7).all()
    assert parity_inputs({"a": {"x": np.zeros((1, 3), F32)}}, {}, PLAIN, 64)["random-batch-64"]["x"].std() > 0.5


@pytest.mark.parametrize("datatype", Datatype)
def test_every_datatype_has_random_values(datatype):
    if datatype is Datatype.BYTES:
        sample = np.array([["a", "b", "c"]], object)
    elif datatype is Datatype.BF16:
        sample = np.array([[100, 101, 102]], ml_dtypes.bfloat16).view(np.uint16)
    else:
        sample = np.array([[0, 1, 3]]).astype(NUMPY_DTYPE[datatype])
    drawn = parity_inputs({"a": {"x": sample}}, {}, model(("x", datatype, (-1, 3))), 7)["random-batch-7"]["x"]
    assert drawn.dtype == sample.dtype
    assert drawn.shape == (7, 3)
    if datatype is Datatype.BYTES:
        assert set(drawn.ravel()) <= {"a", "b", "c"}
    if datatype is Datatype.BF16:
        assert np.abs(drawn.view(ml_dtypes.bfloat16).astype(float) - 101).max() < 5


def test_integers_reach_the_ends_of_their_datatype():
    sample = np.array([[-(2**63), 2**63 - 1]])
    drawn = parity_inputs({"a": {"x": sample}}, {}, model(("x", Datatype.INT64, (-1, 2))), 32)["random-batch-32"]["x"]
    assert drawn.min() < -(2**61) < 2**61 < drawn.max()


@given(st.permutations(range(5)), st.sampled_from([0, 3, 8]))
def test_the_same_sets_come_in_whatever_order_the_samples_do(order, largest):
    samples = {f"s{index}": text_sample(3 + index % 2, low=index) for index in range(5)}
    first = parity_inputs(samples, {}, TEXT, largest)
    second = parity_inputs({f"s{index}": samples[f"s{index}"] for index in order}, {}, TEXT, largest)
    assert first.keys() == second.keys()
    for name, arrays in first.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, second[name][key])


@pytest.mark.parametrize("kind", ["samples", "dataset", "random"])
def test_a_smaller_batch_holds_the_first_rows_of_a_larger_one(kind):
    samples = {"a": text_sample(5, rows=2), "b": text_sample(5, low=90)}
    sets = parity_inputs(samples, samples, TEXT, 32)
    for name in ("ids", "mask"):
        np.testing.assert_array_equal(sets[f"{kind}-batch-2"][name], sets[f"{kind}-batch-32"][name][:2])


def test_batches_beyond_the_limit_are_left_out(monkeypatch):
    monkeypatch.setattr(inputs_module, "LARGEST_SET", 5 * 12)
    sets = parity_inputs(plain_samples(1), plain_samples(1), PLAIN, 32)
    assert max(sizes(sets).values()) == 2
    monkeypatch.setattr(inputs_module, "LARGEST_SET", 1)
    assert "random-batch-1" in parity_inputs(plain_samples(1), {}, PLAIN, 32)


def test_a_model_of_a_fixed_shape_gets_nothing_else():
    fixed = model(("x", Datatype.FP32, (4, 3)), outputs=((4, 2),))
    sets = parity_inputs({"a": {"x": np.ones((4, 3), F32)}}, {}, fixed, 0)
    assert {name: arrays["x"].shape for name, arrays in sets.items()} == {"sample-a": (4, 3), "random": (4, 3)}


def test_a_model_of_scalars():
    fixed = model(("x", Datatype.FP32, ()), outputs=((),))
    assert parity_inputs({"a": {"x": np.array(2, F32)}}, {}, fixed, 0)["random"]["x"].shape == ()


def test_nothing_to_ask_is_refused():
    with pytest.raises(BuildFailed, match="one sample at least"):
        parity_inputs({}, {}, PLAIN, 4)


def test_inputs_of_different_lengths_are_refused():
    with pytest.raises(BuildFailed, match=r"the inputs of 'a' need the same number of rows.* \{'ids': 2, 'mask': 1\}"):
        parity_inputs({"a": text_sample(3) | {"ids": np.ones((2, 3), int)}}, {}, TEXT, 4)


def test_rows_are_taken_from_all_over_the_evaluation_set():
    evaluation = SimpleNamespace(inputs={"x": np.arange(1000)[:, None]}, classes=np.zeros(1000))
    rows = [int(inputs["x"][0, 0]) for inputs in dataset_rows(evaluation).values()]
    assert (len(rows), rows[0], rows[-1]) == (256, 0, 999)
    assert rows == sorted(set(rows))
    assert dataset_rows(None) == {}
