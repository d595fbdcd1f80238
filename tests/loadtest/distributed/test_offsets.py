import asyncio

from hypothesis import given
from hypothesis import strategies as st

from loadtest.distributed.offsets import Offset, clock_offset


def exchanged(true_offset, ways):
    """What an exchange over a network finds whose ways take the times in ``ways``, there and back in turns."""
    time, turn = 0, 0

    def travel():
        nonlocal time, turn
        time += ways[turn % len(ways)]
        turn += 1

    async def ask():
        travel()
        there = time + true_offset
        travel()
        return there

    return asyncio.run(clock_offset(ask, lambda: time))


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(0, 10**9), min_size=1, max_size=40))
def test_the_error_is_never_greater_than_it_says(true_offset, ways):
    found = exchanged(true_offset, ways)
    assert abs(found.offset - true_offset) <= found.error


def test_equal_ways_give_the_offset_exactly():
    assert exchanged(-5_000, [100]) == Offset(-5_000, 100)


def test_the_quickest_exchange_is_taken():
    assert exchanged(7, [900, 100, 50, 50, 800, 100]) == Offset(7, 50)


def test_our_time_there():
    assert Offset(-30, 1).there(100) == 70
