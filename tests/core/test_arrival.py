"""Bytes that arrive in pieces and are never moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.arrival import Arrival


@given(st.binary(min_size=1, max_size=2000), st.data())
def test_the_pieces_are_the_whole(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    arrival = Arrival(len(whole), whole[:start])
    while arrival.missing:
        assert len(arrival.room) == arrival.missing
        at = len(whole) - arrival.missing
        count = data.draw(st.integers(1, arrival.missing))
        arrival.room[:count] = whole[at : at + count]
        arrival.arrived(count)
    assert arrival.whole() == whole
    assert hash(arrival.whole()) == hash(whole)
    assert not arrival.room


def test_nobody_sees_what_the_memory_held_before():
    arrival = Arrival(100, b"start")
    with pytest.raises(ValueError, match="95 bytes are missing"):
        arrival.whole()


def test_what_is_whole_outlives_it():
    arrival = Arrival(100_000)
    arrival.room[:] = b"x" * 100_000
    arrival.arrived(100_000)
    whole = arrival.whole()
    del arrival
    assert whole == b"x" * 100_000


@pytest.mark.parametrize(("size", "start"), [(0, b""), (-1, b""), (1, b"ab"), (2, b"abc")])
def test_sizes_that_are_none(size, start):
    with pytest.raises(ValueError, match=f"{size} bytes that begin with {len(start)}"):
        Arrival(size, start)


def test_more_than_there_is_room_for_is_an_error_and_no_crash():
    with pytest.raises(MemoryError):
        Arrival(2**60)
