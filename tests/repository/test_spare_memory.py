"""When spare memory is given back: by a plan, and in a process of its own with the C library's allocator."""

import platform
import subprocess
import sys

import pytest

from gateway.repository.spare_memory import SpareMemory, Usage

MIB = 2**20


class Process:
    """One whose heap is ``used`` and ``free``, with so much memory ``besides``."""

    def __init__(self, used=0, free=0, besides=50 * MIB):
        self.used, self.free, self.besides = used, free, besides
        self.trims = 0
        self.gives = True
        self.memory = SpareMemory(self.usage, self.trim)

    def usage(self):
        return Usage(self.used, self.used + self.free + self.besides)

    def trim(self):
        self.trims += 1
        if self.gives:
            self.free = 0

    def look(self, times):
        for _ in range(times):
            self.memory.look()
        return self.trims - 1  # the first one is at the beginning


def test_what_was_spare_for_so_long_is_given_back():
    process = Process(free=500 * MIB)
    assert process.free == 0
    process.free = 500 * MIB
    assert process.look(9) == 0
    assert process.look(1) == 1
    assert process.look(100) == 1


def test_what_is_used_now_and_then_is_kept():
    process = Process()
    for _ in range(10):
        process.used, process.free = 0, 500 * MIB
        assert process.look(9) == 0
        process.used, process.free = 500 * MIB, 0
        assert process.look(1) == 0


def test_a_little_is_kept_for_ever():
    process = Process()
    process.free = 64 * MIB
    assert process.look(100) == 0


def test_what_is_no_heap_is_not_tried_for_twice():
    process = Process()
    process.besides += 500 * MIB  # a model was mapped
    assert process.look(100) == 1
    process.free = 100 * MIB
    assert process.look(10) == 2


PROGRAM = """
from pathlib import Path
import resource
from gateway.repository.spare_memory import keep_spare_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def requests():
    bodies = [b"x" * 10_000_000 for _ in range(20)]

memory = keep_spare_memory()
start = resident()
requests()
kept = resident()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
requests()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
for _ in range(10):
    memory.look()
print((kept - start) // 2**20, faults, (resident() - start) // 2**20)
"""


LARGE = """
def look():
    for _ in range(10):
        memory.look()

large = b"x" * 150_000_000
look()
del large
requests()
look()
print((resident() - start) // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_what_is_in_use_is_not_spare_however_large():
    told = subprocess.run([sys.executable, "-c", PROGRAM + LARGE], check=True, capture_output=True, text=True).stdout
    assert int(told.splitlines()[1]) <= 70


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_freed_memory_stays_until_it_is_not_needed():
    told = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    kept, faults, left = map(int, told.split())
    assert kept >= 180
    assert faults < 500  # of 50,000 pages
    assert left <= 70


FAULTS = """
import resource
from gateway.repository.spare_memory import keep_spare_memory
{settle}
def request():
    pieces = [bytes(60_000) for _ in range(10)]
    body = b"".join(pieces)
    return bytearray(body), body[8:]
for _ in range(20):
    request()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    request()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 100)
"""


def faults(settle):
    """Pages that the system has to find for each of many requests with a large tensor."""
    program = FAULTS.format(settle=settle)
    return float(subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_what_one_request_has_freed_the_next_one_gets():
    assert faults("") > 100  # else the rest tells nothing
    assert faults("keep_spare_memory()") < 5
