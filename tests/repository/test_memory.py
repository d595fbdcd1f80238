"""In a process of its own, as the C library's allocator cannot be set back."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
from gateway.repository.memory import settle_memory
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
    assert faults("settle_memory()") < 5
