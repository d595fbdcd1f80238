import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import ResultsError
from loadtest.mlperf.due import TRACE, due_times, with_due_times
from loadtest.results.block import Block, Health, pack, unpack

HEAD = '{"traceEvents":[\n{"name":"IssueQuery","ph":"X","pid":1,"tid":2,"ts":1.500,"dur":2.000,"args":{}},\n'
TAIL = '{"name":"Sample","cat":"default","ph":"e", "pid":1,"id":0,"ts":9.000},\n{"name":"LastTrace"}\n],\n'


def sample(number, ts, delay):
    return (
        f'{{"name":"Sample","cat":"default","ph":"b","pid":1,"id":{number},"ts":{ts:.3f},"args":'
        f'{{"sample_seq":{number},"query_seq":{number},"sample_idx":0,"issue_start_ns":{delay},"complete_ns":9}}}},\n'
    )


def write(directory, *samples):
    (directory / TRACE).write_text(HEAD + "".join(sample(*one) for one in samples) + TAIL)


def test_samples_are_read_in_the_order_of_issue_and_the_trace_is_removed(tmp_path):
    write(tmp_path, (1, 510.83, 80), (0, 33.851, 7), (2, 2000.001, 0))
    due, delay = due_times(tmp_path)
    assert due.tolist() == [33_851, 510_830, 2_000_001]
    assert delay.tolist() == [7, 80, 0]
    assert not (tmp_path / TRACE).exists()


@pytest.mark.parametrize("content", ['{"name":"Sample","ph":"b"},\n', '{"name":"Sample", "ph":"b", "ts": garbage\n'])
def test_garbage_is_refused(tmp_path, content):
    (tmp_path / TRACE).write_text(content.replace('"Sample", ', '"Sample",'))
    with pytest.raises(ResultsError, match=TRACE):
        due_times(tmp_path)


def test_no_trace_is_named(tmp_path):
    with pytest.raises(ResultsError, match="No such file"):
        due_times(tmp_path)


def block(handed_over, done, failed=()):
    """Requests that were handed over and sent at ``handed_over`` and answered at ``done``, but for the ``failed``."""
    good = [number for number in range(len(handed_over)) if number not in failed]
    scheduled = np.array([handed_over[number] - handed_over[0] for number in good], dtype=np.int64)
    times = np.array([done[number] - handed_over[number] for number in good], dtype=np.int64)
    failed_at = np.array([handed_over[number] - handed_over[0] for number in failed], dtype=np.int64)
    return Block(
        load="server:9",
        repetition=0,
        window_seconds=(max(done) - handed_over[0]) / 1e9,
        offered=len(handed_over),
        payload=pack(np.zeros_like(scheduled)),
        scheduled=pack(scheduled),
        send_lag=pack(np.zeros_like(scheduled)),
        first_byte=pack(times),
        response_time=pack(times),
        failed_at=pack(failed_at),
        failed_kind=pack(np.zeros_like(failed_at)),
        failures=("timeout",) if failed else (),
        health=Health(generator_cpu=0.1),
    )


REQUESTS = st.lists(
    st.tuples(st.integers(1, 10**7), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**9)),
    min_size=1,
    max_size=30,
)


@given(REQUESTS, st.integers(-(10**12), 10**12), st.data())
def test_times_count_from_being_due(requests, difference, data):
    gaps, delays, ways, services = (np.array(column, dtype=np.int64) for column in zip(*requests, strict=True))
    due = np.cumsum(gaps)
    ways[data.draw(st.integers(0, len(ways) - 1))] = 0
    # LoadGen's one thread issues one after the other: what is handed over never overtakes.
    handed_over = np.maximum.accumulate(due + delays + ways) + np.arange(len(due))
    delays = np.minimum(delays, handed_over - due)
    ways = handed_over - due - delays
    done = handed_over + services
    failed = data.draw(st.sets(st.integers(0, len(due) - 1)))
    shifted = with_due_times(block(handed_over, done, sorted(failed)), handed_over, due + difference, delays)
    good = [number for number in range(len(due)) if number not in failed]
    least = ways.min()  # what cannot be told from the difference of the clocks
    assert unpack(shifted.scheduled).tolist() == (due - due[0])[good].tolist()
    assert unpack(shifted.failed_at).tolist() == [due[number] - due[0] for number in sorted(failed)]
    assert unpack(shifted.response_time).tolist() == (done - due - least)[good].tolist()
    assert unpack(shifted.first_byte).tolist() == (done - due - least)[good].tolist()
    assert unpack(shifted.send_lag).tolist() == (handed_over - due - least)[good].tolist()
    assert shifted.window_seconds == pytest.approx((done.max() - due[0] - least) / 1e9)
