"""What is kept of requests that were answered differently: the latest, within memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.datatypes import Datatype
from gateway.core.mismatches import _OVERHEAD, Mismatch, Mismatches
from gateway.core.tensors import Tensor


def mismatch(count=1, target="t", data=None):
    tensor = Tensor("x", Datatype.UINT8, (count,), bytes(count) if data is None else data)
    return Mismatch("m", "1", target, 0.0, ("a", "b"), "", "", (tensor,), (tensor,), (), ())


def numbers(kept):
    return [each.number for each in kept]


def test_the_newest_of_each_target_stay():
    kept = Mismatches(10**6)
    for _ in range(3):
        kept.keep(mismatch(), 2)
    kept.keep(mismatch(target="other"), 2)
    assert numbers(kept) == [2, 3, 4]
    assert kept.get(1) is None
    assert kept.get(4).target == "other"


def test_fewer_than_before_may_be_wanted():
    kept = Mismatches(10**6)
    for most in (3, 3, 3, 1):
        kept.keep(mismatch(), most)
    assert numbers(kept) == [4]
    kept.keep(mismatch(), 0)
    assert numbers(kept) == [4]


def test_memory_pushes_out_the_oldest_whoevers_they_are():
    one = mismatch(100).nbytes
    assert one == _OVERHEAD + 200
    kept = Mismatches(2 * one)
    for target in "abc":
        kept.keep(mismatch(100, target), 10)
    assert [each.target for each in kept] == ["b", "c"]
    kept.keep(mismatch(1000), 10)
    assert [each.target for each in kept] == ["t"]
    kept.keep(mismatch(10_000), 10)
    assert [each.target for each in kept] == ["t"]


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from("ab"), st.integers(0, 4))))
def test_the_bound_holds_whatever_comes(given_ones):
    kept = Mismatches(10_000)
    for count, target, most in given_ones:
        kept.keep(mismatch(count, target), most)
        assert kept.nbytes == sum(each.nbytes for each in kept) <= 10_000
        assert numbers(kept) == sorted(set(numbers(kept)))
        if most and mismatch(count).nbytes <= 10_000:
            assert sum(each.target == target for each in kept) <= most


def test_a_detached_one_holds_no_larger_buffer():
    message = bytearray(np.arange(100, dtype=np.uint8).tobytes())
    view = memoryview(message)[5:7]
    first = mismatch(2, data=view).detached()
    view.release()
    message.clear()  # BufferError while anybody holds a view
    assert first.inputs[0].data == first.first[0].data == b"\x05\x06"
