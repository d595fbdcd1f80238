import json
import os
import signal

import pytest

from benchmarks.anatomy import KERNEL, REST, parts
from benchmarks.sampled import Samples, part_of


def test_user_time_is_split_as_the_samples_say():
    found = list(parts("HTTP", {"a": 75, "b": 25}, user=2.0, kernel=1.0, requests=1000))
    assert [(one.part, pytest.approx(one.cpu)) for one in found] == [
        ("a", 0.0015), (KERNEL, 0.001), ("b", 0.0005), (REST, 0.0),
    ]  # fmt: skip


def test_small_parts_are_put_together_and_nothing_is_lost():
    samples = {"a": 995, **{f"small {number}": 1 for number in range(5)}}
    found = {one.part: one.cpu for one in parts("HTTP", samples, user=1.0, kernel=0.5, requests=10)}
    assert set(found) == {"a", KERNEL, REST}
    assert sum(found.values()) == pytest.approx(0.15)


def test_without_a_sample_all_of_it_is_the_rest():
    found = {one.part: one.cpu for one in parts("HTTP", {}, user=1.0, kernel=0.0, requests=1)}
    assert found == {KERNEL: 0.0, REST: 1.0}


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("/x/gateway/gateway/filters/retry.py", "gateway.filters"),
        ("/x/gateway/app.py", "gateway.app"),
        ("/x/lib/python3.11/site-packages/hpack/huffman.py", "hpack"),
        ("/x/lib/python3.11/site-packages/typing_extensions.py", "typing_extensions"),
        ("/x/lib/python3.11/asyncio/events.py", "Python"),
        ("<string>", "Python"),
    ],
)
def test_part_of_a_file(file, part):
    assert part_of(file) == part


def test_samples_are_taken_between_the_two_signals(tmp_path):
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGVTALRM)
    before = [signal.getsignal(number) for number in numbers]
    file = tmp_path / "counts.json"
    try:
        samples = Samples(file)
        samples.install()
        os.kill(os.getpid(), signal.SIGUSR1)
        until = os.times().user + 10  # the kernel counts by ticks, and on a busy machine may not meet us for long
        while samples._counts.total() < 3 and os.times().user < until:
            pass
        os.kill(os.getpid(), signal.SIGUSR2)
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert sum(json.loads(file.read_text()).values()) >= 3
