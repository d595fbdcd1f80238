from hypothesis import given
from hypothesis import strategies as st

from gateway.core.batch_queue import BatchQueue, Waiting

MANY = 10**9


def waiting(likeness="a", rows=1, nbytes=1, **changes):
    return Waiting(likeness=likeness, rows=rows, nbytes=nbytes, **changes)


def filled(*entries):
    queue = BatchQueue()
    for entry in entries:
        queue.add(entry)
    return queue


def test_the_oldest_leaves_with_those_like_it():
    a, b, c = waiting("a"), waiting("b"), waiting("a")
    queue = filled(a, b, c)
    assert queue.take(rows=MANY, nbytes=MANY) == [a, c]
    assert queue.take(rows=MANY, nbytes=MANY) == [b]
    assert queue.take(rows=MANY, nbytes=MANY) == []


def test_the_urgent_go_first():
    late, urgent, more = waiting("a"), waiting("b", level=1), waiting("a", level=2)
    queue = filled(late, urgent, more)
    assert queue.take(rows=1, nbytes=MANY) == [urgent]
    assert queue.take(rows=MANY, nbytes=MANY) == [more, late]


def test_bounds_hold_for_all_but_the_first():
    large, small, other = waiting(rows=5), waiting(rows=1), waiting(rows=3)
    queue = filled(large, small, other)
    assert queue.take(rows=2, nbytes=MANY) == [large]
    assert queue.take(rows=2, nbytes=MANY) == [small]
    queue = filled(waiting(nbytes=6), waiting(nbytes=4), waiting(nbytes=1))
    assert len(queue.take(rows=MANY, nbytes=10)) == 2


def test_none_is_passed_over_for_one_that_fits():
    first, large, small = waiting(rows=1), waiting(rows=5), waiting(rows=1)
    assert filled(first, large, small).take(rows=3, nbytes=MANY) == [first]


def test_what_is_like_nothing_leaves_alone():
    entries = [waiting(None), waiting(None), waiting("a")]
    queue = filled(*entries)
    assert [queue.take(rows=MANY, nbytes=MANY) for _ in entries] == [[entry] for entry in entries]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from(["a", "b", None]), st.integers(0, 3), st.integers(1, 3)),
        st.tuples(st.just("take"), st.integers(1, 6)),
        st.tuples(st.just("discard"), st.integers(0, 30)),
    ),
    max_size=40,
)


@given(STEPS)
def test_against_a_plain_list(steps):
    queue, model, gone = BatchQueue(), [], []
    for step in steps:
        match step:
            case "add", likeness, rows, level:
                model.append(waiting(likeness, rows=rows, level=level))
                queue.add(model[-1])
            case "discard", which if model + gone:
                entry = (model + gone)[which % len(model + gone)]
                queue.discard(entry)
                if entry in model:
                    model.remove(entry)
                    gone.append(entry)
            case "take", limit:
                ordered = sorted(model, key=lambda entry: (entry.level, entry.arrival))
                expected = ordered[:1]
                for entry in ordered[1:]:
                    if entry.likeness is None or entry.likeness != ordered[0].likeness:
                        continue
                    if sum(each.rows for each in [*expected, entry]) > limit:
                        break
                    expected.append(entry)
                assert queue.take(rows=limit, nbytes=MANY) == expected
                model = [entry for entry in model if entry not in expected]
                gone += expected
        assert len(queue) == len(model)
