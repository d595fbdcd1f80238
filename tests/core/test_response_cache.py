"""What is kept, for how long, and that the bound holds whatever comes."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.datatypes import Datatype
from gateway.core.messages import InferResponse
from gateway.core.response_cache import ANSWER_BYTES, TENSOR_BYTES, ResponseCache
from gateway.core.tensors import Tensor

SMALL = ANSWER_BYTES + TENSOR_BYTES + 4  # bytes, of an answer with one number


def answer(number=0.0, count=1, **parameters):
    tensor = Tensor.from_numpy("y", np.full(count, number, np.float32))
    return InferResponse("m", "1", (tensor,), id="theirs", parameters=parameters)


def kept(cache, key, now=0.0):
    found = cache.get(key, now)
    return None if found is None else float(found.outputs[0].to_numpy()[0])


def test_an_answer_comes_back_as_it_was():
    cache = ResponseCache(10_000)
    given = InferResponse(
        "m",
        "1",
        (Tensor("y", Datatype.BF16, (1, 2), b"\x01\x02\x03\x04"), Tensor("z", Datatype.BYTES, (), b"\x01\0\0\0a")),
        parameters={"content_type": "text/plain", "n": 1},
    )
    assert cache.put(cache.open("m", "1"), b"k", given, now=0.0) == 0
    assert cache.get(b"k", 0.0) == given
    assert cache.get(b"other", 0.0) is None


def test_every_caller_gets_an_object_of_its_own():
    cache = ResponseCache(10_000)
    cache.put(cache.open("m", "1"), b"k", answer(1.0, note="x"), now=0.0)
    first = cache.get(b"k", 0.0)
    first.model, first.id, first.outputs = "changed", "changed", ()
    first.parameters["note"] = "changed"
    again = cache.get(b"k", 0.0)
    assert (again.model, again.id, again.parameters) == ("m", "", {"note": "x"})
    assert len(again.outputs) == 1


def test_data_is_copied_so_that_no_larger_buffer_stays_and_nobody_can_change_it():
    cache = ResponseCache(10_000)
    message = bytearray(1_000_000)
    view = memoryview(message)[:4]
    cache.put(cache.open("m", "1"), b"k", InferResponse("m", "1", (Tensor("y", Datatype.FP32, (1,), view),)), now=0.0)
    view.release()
    message.clear()  # BufferError while anybody holds a view
    assert cache.get(b"k", 0.0).outputs[0].data == bytes(4)
    assert type(cache.get(b"k", 0.0).outputs[0].data) is bytes


def test_the_least_recently_used_goes_first():
    cache = ResponseCache(8 * SMALL)
    scope = cache.open("m", "1")
    for number in range(8):
        cache.put(scope, bytes([number]), answer(number), now=0.0)
    assert (len(cache), cache.nbytes) == (8, 8 * SMALL)
    cache.get(b"\x00", 0.0)
    assert cache.put(scope, b"new", answer(9.0), now=0.0) == 1
    assert (kept(cache, b"\x00"), kept(cache, b"\x01"), kept(cache, b"new")) == (0.0, None, 9.0)


def test_as_many_go_as_it_takes():
    cache = ResponseCache(40 * SMALL)
    scope = cache.open("m", "1")
    for number in range(40):
        cache.put(scope, bytes([number]), answer(number), now=0.0)
    assert cache.put(scope, b"large", answer(9.0, count=1 + 3 * SMALL // 4), now=0.0) == 4
    assert (kept(cache, b"\x03"), kept(cache, b"\x04"), kept(cache, b"large")) == (None, 4.0, 9.0)


def test_an_answer_is_replaced_by_a_newer_one():
    cache = ResponseCache(10_000)
    scope = cache.open("m", "1")
    for number in (1.0, 2.0):
        cache.put(scope, b"k", answer(number), now=0.0)
    assert (kept(cache, b"k"), len(cache), cache.nbytes) == (2.0, 1, SMALL)


def test_an_answer_over_an_eighth_of_the_bound_is_not_kept():
    cache = ResponseCache(8 * SMALL)
    scope = cache.open("m", "1")
    cache.put(scope, b"fits", answer(), now=0.0)
    assert cache.put(scope, b"too large", answer(count=2), now=0.0) == 0
    assert cache.put(scope, b"too wordy", answer(word="x"), now=0.0) == 0
    assert (len(cache), cache.nbytes) == (1, SMALL)


def test_an_answer_lives_as_long_as_it_may():
    cache = ResponseCache(10_000, ttl=5.0)
    cache.put(cache.open("m", "1"), b"k", answer(1.0), now=100.0)
    assert kept(cache, b"k", 104.9) == 1.0
    assert kept(cache, b"k", 105.0) is None
    assert (len(cache), cache.nbytes) == (0, 0)


def test_a_version_that_is_loaded_anew_starts_with_nothing_and_the_others_keep_theirs():
    cache = ResponseCache(10_000)
    old, other, neighbour = cache.open("m", "1"), cache.open("m", "2"), cache.open("n", "1")
    for key, scope in ((b"a", old), (b"b", other), (b"c", neighbour)):
        cache.put(scope, key, answer(1.0), now=0.0)
    new = cache.open("m", "1")
    assert new.number != old.number
    assert (kept(cache, b"a"), kept(cache, b"b"), kept(cache, b"c")) == (None, 1.0, 1.0)
    cache.put(old, b"late", answer(1.0), now=0.0)  # it was under way when the new one came
    assert kept(cache, b"late") is None
    assert cache.nbytes == 2 * SMALL


@pytest.mark.parametrize(("version", "left"), [("", 1), ("1", 2)])
def test_what_is_served_no_more_is_freed(version, left):
    cache = ResponseCache(10_000)
    scopes = [cache.open("m", "1"), cache.open("m", "2"), cache.open("n", "1")]
    for number, scope in enumerate(scopes):
        cache.put(scope, bytes([number]), answer(), now=0.0)
    cache.close("m", version)
    assert (len(cache), cache.nbytes) == (left, left * SMALL)
    cache.put(scopes[0], b"late", answer(), now=0.0)
    assert len(cache) == left
    cache.close("unknown")
    assert len(cache) == left


def test_the_garbage_collector_has_nothing_to_look_into():
    cache = ResponseCache(10_000_000)
    scope = cache.open("m", "1")
    for number in range(100):
        cache.put(scope, number.to_bytes(4), answer(number, note="x"), now=0.0)
    for _ in range(10):  # at most one level of the nested tuples each time
        gc.collect()
    assert not any(gc.is_tracked(entry) for entry in cache._entries.values())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "get", "open", "close"]),
        st.integers(0, 5),  # key, and the model of it
        st.integers(0, 400),  # numbers in the answer
        st.floats(0, 2),  # seconds since the step before
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 12_000))
def test_the_bound_holds_and_no_answer_belongs_to_another_key(steps, limit):
    cache, now = ResponseCache(limit, ttl=3.0), 0.0
    scopes = [cache.open(str(model), "1") for model in range(3)]
    given, born = {}, {}
    for step, key, count, pause in steps:
        now += pause
        model = key % 3
        name = bytes([key, scopes[model].number])
        if step == "put":
            if SMALL - 4 + 4 * count <= limit // 8:  # one that is too large leaves the one before
                given[name], born[name] = answer(float(key), count).outputs, now
            cache.put(scopes[model], name, answer(float(key), count), now)
        elif step == "get":
            found = cache.get(name, now)
            assert found is None or (found.outputs == given[name] and now - born[name] < 3.0)
        elif step == "open":
            scopes[model] = cache.open(str(model), "1")
        else:
            cache.close(str(model))
        assert 0 <= cache.nbytes <= limit
        assert bool(len(cache)) == bool(cache.nbytes)
