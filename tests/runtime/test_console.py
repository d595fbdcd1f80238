from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
from gateway.runtime.console import messages, results
for console in (results(), messages()):
    for _ in range(3):
        console.print("x" * 100_000)
open(3, "w").write("alive")
"""


def test_output_that_nobody_reads_does_not_end_the_program() -> None:
    alive_read, alive_write = os.pipe()
    broken_read, broken_write = os.pipe()
    os.close(broken_read)
    process = subprocess.Popen(
        [sys.executable, "-c", f"import os; os.dup2({alive_write}, 3)\n{PROGRAM}"],
        stdout=broken_write,
        stderr=broken_write,
        pass_fds=[alive_write],
    )
    os.close(broken_write)
    os.close(alive_write)
    with open(alive_read) as alive:  # noqa: PTH123 (a descriptor)
        assert alive.read() == "alive"
    assert process.wait(timeout=20) == 0
