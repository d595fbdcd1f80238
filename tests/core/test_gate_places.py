"""Whatever requests do, no place at the gate is lost and none is given twice."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st
from support.gates import Scene, settled
from support.virtual_time import run_virtual

from gateway.core.criticality import Criticality
from gateway.core.errors import Overloaded
from gateway.core.messages import RequestContext

STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("ask"), st.sampled_from(list(Criticality)), st.sampled_from("ab"), st.sampled_from([0, 1, 2])
        ),
        st.tuples(st.sampled_from(["answer", "cancel inside", "cancel"]), st.integers(0, 100)),
        st.tuples(st.just("pass"), st.sampled_from([0.0, 0.004, 0.11])),
        st.tuples(st.just("cancel at its turn"), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), STEPS)
def test_no_place_and_no_request_is_ever_lost(limit, queue, steps):
    run_virtual(_lose_nothing(limit, queue, steps))


async def _lose_nothing(limit, queue, steps):
    it, tasks, asked = Scene(limit, queue=queue), {}, {}

    def waiting():
        return [name for name, task in tasks.items() if not task.done() and name not in it.inside]

    for kind, *what in steps:
        if kind == "ask":
            name, (criticality, client, priority) = len(tasks), what
            asked[name] = (criticality, client, priority or 99)
            tasks[name] = it.ask(name, criticality, client, priority=priority)
        elif kind in ("answer", "cancel inside") and it.inside:
            name = list(it.inside)[what[0] % len(it.inside)]
            it.inside[name].set() if kind == "answer" else tasks[name].cancel()
        elif kind == "cancel" and waiting():
            tasks[waiting()[what[0] % len(waiting())]].cancel()
        elif kind == "cancel at its turn" and it.inside and waiting():
            it.inside[next(iter(it.inside))].set()
            await asyncio.sleep(0)  # the place is given on in this step
            for name in waiting():
                tasks[name].cancel()
        elif kind == "pass":
            await asyncio.sleep(what[0])
        await settled()
        assert it.gate.in_flight == len(it.inside) <= limit
        assert it.gate.waiting == len(waiting()) <= queue
        if it.gate.waiting:  # nobody waits beside a free place
            most = (
                limit if any(asked[name][0] is not Criticality.SHEDDABLE for name in waiting()) else max(1, limit // 2)
            )
            assert it.gate.in_flight >= most
    await it.all_out()
    done = await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert all(isinstance(each, RequestContext | Overloaded | asyncio.CancelledError) for each in done)
    assert (it.gate.in_flight, it.gate.waiting) == (0, 0)
    for kind in set(asked.values()):  # first come, first served, among a client's equals
        served = [name for name in it.order if asked[name] == kind]
        assert served == sorted(served)
