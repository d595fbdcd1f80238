import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.criticality import Criticality
from gateway.core.fair_queue import FairQueue, Turn

CRITICAL, DEFAULT, SHEDDABLE = Criticality
WEIGHTS = {"heavy": 3}


def turn(client="a", criticality=DEFAULT, level=float("inf")):
    return Turn(client=client, criticality=criticality, level=level)


def filled(*turns):
    queue = FairQueue(lambda name: WEIGHTS.get(name, 1))
    for each in turns:
        queue.add(each)
    return queue


def drained(queue, least=SHEDDABLE):
    taken = []
    while (each := queue.take(least)) is not None:
        taken.append(each)
    return taken


def clients(turns):
    return "".join(each.client[0] for each in turns)


def test_one_client_with_many_does_not_starve_the_others():
    queue = filled(*[turn("a") for _ in range(1000)], turn("b"), turn("c"))
    assert clients(drained(queue))[:5] == "abcaa"


def test_a_client_of_more_weight_has_more_turns():
    queue = filled(*[turn(name) for name in ("heavy", "b", "c") for _ in range(9)])
    assert clients(drained(queue))[:10] == "hhhbchhhbc"


def test_the_more_critical_come_first_whoever_they_are_of():
    turns = [turn("a", SHEDDABLE), turn("a", DEFAULT), turn("b", CRITICAL), turn("a", CRITICAL)]
    assert drained(filled(*turns)) == [turns[2], turns[3], turns[1], turns[0]]


def test_a_clients_urgent_ones_come_first_and_equals_in_order():
    turns = [turn(level=level) for level in (float("inf"), 2, 1, 2, 1)]
    assert drained(filled(*turns)) == [turns[2], turns[4], turns[1], turns[3], turns[0]]


def test_urgency_is_no_way_to_come_before_other_clients():
    queue = filled(*[turn("a", level=1) for _ in range(3)], turn("b"), turn("b"))
    assert clients(drained(queue)) == "ababa"


def test_only_what_is_critical_enough_is_taken():
    queue = filled(turn("a", SHEDDABLE), turn("b", DEFAULT))
    assert clients(drained(queue, DEFAULT)) == "b"
    assert len(queue) == 1
    assert [queue.ahead_of(each) for each in Criticality] == [0, 0, 1]


@pytest.mark.parametrize(
    ("newcomer", "waiting", "victim"),
    [
        (turn("c", CRITICAL), [turn("a", SHEDDABLE), turn("b", SHEDDABLE), turn("b", SHEDDABLE)], 2),
        (turn("c", DEFAULT), [turn("a", CRITICAL), turn("b", SHEDDABLE)], 1),
        (turn("c", SHEDDABLE), [turn("a"), turn("a")], None),
        (turn("c"), [turn("a"), turn("a"), turn("b")], 1),
        (turn("b"), [turn("a"), turn("a"), turn("b")], None),
        (turn("a"), [turn("a"), turn("a"), turn("b")], None),
        (turn("c"), [turn("a"), turn("b")], None),
        (turn("b"), [turn("heavy"), turn("heavy"), turn("heavy"), turn("c")], None),
        (turn("b"), [turn("a", level=2), turn("a"), turn("a", level=1)], 1),
    ],
)
def test_who_makes_room_for_a_newcomer(newcomer, waiting, victim):
    found = filled(*waiting).victim(newcomer)
    assert found is (None if victim is None else waiting[victim])


def test_nobody_is_in_an_empty_queue():
    assert filled().take(SHEDDABLE) is None
    assert filled().victim(turn()) is None


@given(
    st.lists(
        st.one_of(
            st.builds(
                turn,
                st.sampled_from(["a", "b", "heavy"]),
                st.sampled_from(list(Criticality)),
                st.sampled_from([1, 2, float("inf")]),
            ),
            st.sampled_from(["take", "discard", "discard again"]),
        )
    )
)
def test_nothing_is_lost_and_nothing_left_behind(steps):
    queue, waiting, gone = filled(), [], []
    for step in steps:
        if isinstance(step, Turn):
            queue.add(step)
            waiting.append(step)
        elif step == "take":
            taken = queue.take(SHEDDABLE)
            assert (taken is None) == (not waiting)
            if taken is not None:
                ahead = [each for each in waiting if each.client == taken.client]
                assert taken is min(ahead, key=lambda each: (each.criticality, each.level))  # the first of equals
                waiting.remove(taken)
        elif step == "discard" and waiting:
            gone.append(waiting.pop(len(waiting) // 2))
            queue.discard(gone[-1])
        elif gone:
            queue.discard(gone[-1])
        assert len(queue) == len(waiting)
        assert [queue.ahead_of(each) for each in Criticality] == [
            sum(turn.criticality <= each for turn in waiting) for each in Criticality
        ]
    assert len(drained(queue)) == len(waiting)
    assert not any(queue._lines)


def before(queue, enough=100, **newcomer):
    return queue.turns_before(turn(**newcomer), enough)


def test_as_many_come_before_a_newcomer_as_will_be_taken():
    turns = [turn(client=client) for client in "aaaabbc"]
    for client, expected in [("a", 4 + 2 + 1), ("b", 2 + 3 + 1), ("c", 1 + 2 + 2), ("d", 3)]:
        queue = filled(*turns)
        assert before(queue, client=client) == expected
        newcomer = turn(client=client)
        queue.add(newcomer)
        assert abs(drained(queue).index(newcomer) - expected) <= 2  # it depends on whose turn it is


def test_what_is_more_critical_comes_before_a_newcomer_and_what_is_less_does_not():
    queue = filled(*[turn(criticality=criticality) for criticality in (CRITICAL, CRITICAL, DEFAULT, SHEDDABLE)])
    assert [before(queue, criticality=criticality) for criticality in Criticality] == [2, 3, 4]


def test_of_its_own_only_those_that_are_as_urgent_come_before_a_newcomer():
    queue = filled(turn(level=1), turn(level=2), turn(level=3))
    assert before(queue, level=2) == 2


def test_a_newcomers_weight_counts():
    queue = FairQueue(lambda client: 4 if client == "a" else 1)
    for each in [turn(client="b") for _ in range(9)] + [turn(client="a") for _ in range(3)]:
        queue.add(each)
    assert before(queue, client="a") == 3 + 1
    assert before(queue, client="c") == 1 + 3


def test_no_more_is_counted_than_matters():
    queue = filled(*[turn(client=str(number)) for number in range(50)])
    assert before(queue, enough=5, client="new") == 5
