import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtest.distributed.merge import merge_blocks
from loadtest.results.block import Block, Columns, Health, ServerTimes, failure_counts, pack, unpack


def block(times=(), failures=(), **fields):
    """One whose request ``n`` was due at ``n`` ns, sent 1 ns later and answered after ``times[n]``."""
    kinds = tuple(dict.fromkeys(failures))
    numbers = np.arange(len(times), dtype=np.int64)
    given = {
        "load": "poisson:9",
        "repetition": 2,
        "restart": 1,
        "window_seconds": 1.0,
        "offered": len(times) + len(failures),
        "health": Health(generator_cpu=0.1),
    }
    return Block(
        **given | fields,
        payload=pack(numbers % 3),
        scheduled=pack(numbers),
        send_lag=pack(np.ones_like(numbers)),
        first_byte=pack(np.array(times, dtype=np.int64) - 1),
        response_time=pack(np.array(times, dtype=np.int64)),
        failed_at=pack(np.arange(len(failures), dtype=np.int64)),
        failed_kind=pack(np.array([kinds.index(kind) for kind in failures], dtype=np.int64)),
        failures=kinds,
    )


def test_every_request_stays_whole():
    merged = merge_blocks([block([50, 60, 70]), block([90]), block([])])
    rows = zip(
        *(
            unpack(column).tolist()
            for column in (merged.payload, merged.scheduled, merged.send_lag, merged.first_byte, merged.response_time)
        ),
        strict=True,
    )
    assert list(rows) == [(0, 0, 1, 49, 50), (1, 1, 1, 59, 60), (2, 2, 1, 69, 70), (0, 0, 1, 89, 90)]
    assert (merged.load, merged.repetition, merged.restart, merged.offered) == ("poisson:9", 2, 1, 4)


@given(st.lists(st.lists(st.integers(2, 10**12), max_size=30), min_size=1, max_size=5), st.floats(0, 1))
def test_percentiles_are_those_of_all_samples(workers, share):
    together = [time for times in workers for time in times]
    merged = Columns.of(merge_blocks([block(times) for times in workers])).response_time
    assert len(merged) == len(together)
    if together:
        assert np.quantile(merged, share) == np.quantile(together, share)


KINDS = st.lists(st.sampled_from(["timeout", "connect", "HTTP 503"]), max_size=8)


@given(st.lists(KINDS, min_size=1, max_size=4))
def test_failures_keep_their_kinds_however_each_worker_numbered_them(workers):
    merged = merge_blocks([block(failures=kinds) for kinds in workers])
    together = [kind for kinds in workers for kind in kinds]
    assert failure_counts([merged]) == {kind: together.count(kind) for kind in together}


def test_the_first_worker_that_knows_tells_the_details():
    merged = merge_blocks([block(details={"a": "one"}), block(details={"a": "two", "b": "three"})])
    assert merged.details == {"a": "one", "b": "three"}


def test_health_is_that_of_the_worst_worker_and_counts_add_up():
    one = Health(generator_cpu=0.9, loop_lag_p99=0.001, loop_lag_max=0.1, connections_opened=3, most_in_flight=10)
    two = Health(generator_cpu=0.2, loop_lag_p99=0.002, loop_lag_max=0.05, connections_opened=4, most_in_flight=20)
    assert merge_blocks([block(health=one), block(health=two)]).health == Health(
        generator_cpu=0.9, loop_lag_p99=0.002, loop_lag_max=0.1, connections_opened=7, most_in_flight=30
    )


def test_one_bad_block_spoils_the_whole():
    merged = merge_blocks([block(), block(void="cannot keep up"), block(unfinished=True), block(void="cannot keep up")])
    assert merged.void == "cannot keep up"
    assert merged.unfinished
    assert not merge_blocks([block(), block()]).unfinished


def test_the_window_is_the_longest():
    assert merge_blocks([block(window_seconds=1.5), block(window_seconds=2.5)]).window_seconds == 2.5


def test_answers_times_are_added_and_counters_of_the_server_are_not():
    answers = ServerTimes(source="Server-Timing", requests=2, seconds={"queue": 1.0}, total=3.0)
    others = ServerTimes(source="Server-Timing", requests=3, seconds={"queue": 0.5, "compute": 2.0}, total=4.0)
    counters = ServerTimes(source="Prometheus", requests=100, seconds={"queue": 9.0})
    read_later = ServerTimes(source="Prometheus", requests=101, seconds={"queue": 9.5})
    merged = merge_blocks([block(server_times=(answers, counters)), block(server_times=(others, read_later))])
    assert merged.server_times == (
        ServerTimes(source="Server-Timing", requests=5, seconds={"queue": 1.5, "compute": 2.0}, total=7.0),
        read_later,
    )


def test_one_block_is_itself():
    alone = block([5, 6], ["timeout"], compared=4, details={"timeout": "slow"})
    assert merge_blocks([alone]) == alone


def test_compared_answers_add_up():
    assert merge_blocks([block(compared=3), block(compared=4)]).compared == 7
