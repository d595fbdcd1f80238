import os
import subprocess
import sys
import time

from benchmarks.procfs import cpu_seconds, cpu_times, family, memory, reset_peak, stat_fields

TICKS = os.sysconf("SC_CLK_TCK")


def process(proc, pid, parent, *, user=0, kernel=0, resident=0, peak=0, name="a (b) c"):
    """A process as the kernel describes it."""
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    zeros = " 0" * 9
    (folder / "stat").write_text(f"{pid} ({name}) S {parent}{zeros} {user} {kernel} 7 7 20 0 1 0 1234\n")
    (folder / "status").write_text(f"Name:\t{name}\nVmHWM:\t {peak} kB\nVmRSS:\t {resident} kB\nThreads:\t1\n")
    return folder


def test_a_name_may_hold_spaces_and_parentheses(tmp_path):
    assert stat_fields(process(tmp_path, 5, 1, name="x) S 99 (y"))[:2] == ["S", "1"]


def test_the_family_is_the_process_and_all_below_it(tmp_path):
    for pid, parent in ((2, 1), (5, 2), (6, 5), (7, 6), (8, 2)):
        process(tmp_path, pid, parent)
    (tmp_path / "self").mkdir()
    assert sorted(family(5, tmp_path)) == [5, 6, 7]


def test_cpu_times_are_in_seconds_and_of_all_together(tmp_path):
    process(tmp_path, 5, 1, user=3 * TICKS, kernel=TICKS)
    process(tmp_path, 6, 5, user=TICKS, kernel=2 * TICKS)
    assert cpu_times([5, 6], tmp_path) == (4.0, 3.0)
    assert cpu_seconds([5, 6, 7], tmp_path) == 7.0  # there is no 7


def test_memory_is_in_bytes_and_of_all_together(tmp_path):
    process(tmp_path, 5, 1, resident=100, peak=300)
    process(tmp_path, 6, 5, resident=1, peak=2)
    assert memory([5, 6, 7], tmp_path) == (101 * 1024, 302 * 1024)


def test_a_kernel_thread_has_no_memory(tmp_path):
    (process(tmp_path, 5, 1) / "status").write_text("Name:\tkworker\n")
    assert memory([5], tmp_path) == (0, 0)


def test_the_peak_is_forgotten(tmp_path):
    folder = process(tmp_path, 5, 1)
    reset_peak([5, 6], tmp_path)
    assert (folder / "clear_refs").read_text() == "5"


def test_the_real_kernel_tells_the_same():
    before = cpu_seconds([os.getpid()])
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert 0.05 < cpu_seconds([os.getpid()]) - before < 10
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in family(os.getpid())
        child.communicate(b"\n")
    now, peak = memory([os.getpid()])
    assert 2**20 < now <= peak
