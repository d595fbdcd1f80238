"""Real processes with engines of every kind of bad luck."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import odd_engines
from support.tiny_store import make_store

from loadtest.frameworks.contestants import Contestant, Opener
from loadtest.frameworks.racer import Racer
from loadtest.frameworks.worker import Job, Round

Start = Callable[[Opener], Racer]


def job(folder: Path, opener: Opener, batches: tuple[int, ...] = (1, 3)) -> Job:
    directory = folder / "double" / "1"
    if not directory.exists():
        make_store(folder)
    return Job(opener, directory, batches, 1, folder)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    racers = []

    def started(opener: Opener) -> Racer:
        silence = 1.0 if opener is odd_engines.hanger else 60.0
        racer = Racer(Contestant("Odd", "double", opener), job(tmp_path, opener), silence)
        racers.append(racer)
        racer.start()
        return racer

    yield started
    for racer in racers:
        racer.stop()
        assert racer._process.poll() is not None


def test_answers_every_batch_then_runs_what_it_is_told(start: Start) -> None:
    racer = start(odd_engines.slow)
    assert racer.ready is not None
    assert (racer.ready.version, racer.ready.device) == ("1.2", "cpu")
    assert {rows: [one["y"].shape for one in answers] for rows, answers in racer.ready.answers.items()} == {
        1: [(1, 2)],
        3: [(3, 2)],
    }
    assert racer.ready.first_inference >= 1e-3
    done = racer.run(3, 7)
    assert done is not None
    assert len(done.times) == 7
    assert min(done.times) >= 1_000_000
    assert done.waited is None or done.waited >= 0
    assert racer.memory_peak == done.memory_peak > 10 * 2**20
    assert racer.problem == ""


@pytest.mark.parametrize(
    ("opener", "problem"),
    [
        (odd_engines.missing, "the engine needs the package 'nowhere'; install it with: pip install nowhere"),
        (odd_engines.hungry, "the first inference: there is not enough memory"),
        (odd_engines.victim, "its process was killed, most likely because the machine has not enough memory"),
        (odd_engines.leaver, "its process ended with exit code 3"),
    ],
)
def test_one_that_cannot_begin_says_why(start: Start, opener: Opener, problem: str) -> None:
    racer = start(opener)
    assert (racer.problem, racer.ready) == (problem, None)
    assert racer.run(1, 1) is None


@pytest.mark.parametrize(
    ("opener", "problem"),
    [
        (odd_engines.refuser, "batch 1: RuntimeError: shapes do not match"),
        (odd_engines.crasher, "its process was ended by SIGSEGV: libcrash: cannot go on"),
    ],
)
def test_one_that_fails_on_the_way_says_why(start: Start, opener: Opener, problem: str) -> None:
    racer = start(opener)
    assert racer.problem == ""
    assert racer.run(1, 60) is None
    assert racer.problem == problem


def test_one_that_hangs_is_ended(start: Start) -> None:
    racer = start(odd_engines.hanger)
    assert isinstance(racer.run(1, 10), Round)
    assert racer.run(1, 60) is None
    assert re.fullmatch(r"it did not answer within [\d.]+ s, and was ended", racer.problem)
    assert racer._process.poll() is not None


def test_one_that_hangs_while_it_loads_is_ended(tmp_path: Path) -> None:
    racer = Racer(Contestant("Odd", "double", odd_engines.sleeper), job(tmp_path, odd_engines.sleeper))
    racer.start(limit=0.1)
    assert racer.problem == "it did not answer within 0.1 s, and was ended"
    assert racer._process.poll() is not None


def test_a_process_that_hangs_dies_with_its_parent(tmp_path: Path) -> None:
    make_store(tmp_path)
    program = f"""
import sys
from pathlib import Path
from support import odd_engines
from loadtest.frameworks.contestants import Contestant
from loadtest.frameworks.racer import Racer
from loadtest.frameworks.worker import Job
if __name__ == "__main__":
    racer = Racer(Contestant("Odd", "", odd_engines.hanger), Job(
        odd_engines.hanger, Path({str(tmp_path / "double" / "1")!r}), (1,), 1, Path({str(tmp_path)!r})))
    racer.start()
    print(racer._process.pid, flush=True)
    racer.run(1, 60)
"""
    script = tmp_path / "parent.py"
    script.write_text(program)
    tests = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while _runs(worker):
        assert time.monotonic() < deadline, "the worker outlives its parent"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text("ascii", errors="replace")
    except FileNotFoundError:
        return False


def test_ctrl_c_in_the_terminal_does_not_reach_the_process(start: Start) -> None:
    racer = start(odd_engines.doubler)
    os.kill(racer._process.pid, signal.SIGINT)
    assert isinstance(racer.run(1, 5), Round)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
