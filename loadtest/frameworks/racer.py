"""The parent's end of one framework's process. Whatever happens to it becomes a sentence, and the others go on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from loadtest.clock import NS
from loadtest.frameworks.contestants import Contestant
from loadtest.frameworks.worker import Failed, Job, Order, Ready, Round

# How long a process may be silent. Loading can mean compiling; a round may take longer than those before it.
_START_SECONDS = 300.0
_ROUND_SECONDS = 60.0
_ROUND_FACTOR = 10
_HANG_UP_SECONDS = 5
_LONGEST_WORDS = 200


class Racer:
    """One framework's process.

    Args:
        contestant: the framework.
        job: what its process does.
        silence: seconds that one inference may take.

    Attributes:
        contestant: the framework.
        problem: why it is out; empty while it is in.
        ready: what it said when it had loaded.
        memory_peak: the most memory (bytes) that it held so far.
    """

    def __init__(self, contestant: Contestant, job: Job, silence: float = _ROUND_SECONDS) -> None:
        ours, theirs = multiprocessing.Pipe()
        self.contestant = contestant
        self.problem = ""
        self.ready: Ready | None = None
        self.memory_peak = 0
        self._silence = silence
        self._slowest = dict.fromkeys(job.batches, 0.0)
        self._job = job
        self._idle = False
        self._connection: Connection = ours
        # Ctrl-C is ours to handle. Blocked now, it does not reach the process even while Python starts there.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "loadtest.frameworks", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # it finds the modules that we do
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        theirs.close()

    def start(self, limit: float = _START_SECONDS) -> None:
        """Wait until the model is loaded and has answered every batch, or has failed."""
        answer = self._ask(self._job, limit)
        if isinstance(answer, Ready):
            self.ready = answer
            self.memory_peak = answer.memory_peak

    def run(self, batch: int, count: int) -> Round | None:
        """``count`` inferences; None when there is no answer, and never will be."""
        limit = self._silence + _ROUND_FACTOR * self._slowest[batch] * count
        answer = self._ask(Order(batch, count), limit)
        if not isinstance(answer, Round):
            return None
        self._slowest[batch] = max(self._slowest[batch], max(answer.times) / NS)
        self.memory_peak = answer.memory_peak
        return answer

    def stop(self) -> None:
        """End the process, whatever it is doing; one that waits for orders ends by itself."""
        self._connection.close()
        if self._idle:
            self._wait()
        self._kill()

    def _ask(self, question: Job | Order, limit: float) -> object:
        self._idle = False
        try:
            self._connection.send(question)
            if not self._connection.poll(limit):
                self.problem = f"it did not answer within {limit:.3g} s, and was ended"
                self._kill()
                return None
            answer: object = self._connection.recv()
        except (EOFError, OSError):
            self._ended()
            return None
        if isinstance(answer, Failed):
            self.problem = answer.reason
        self._idle = True
        return answer

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def _ended(self) -> None:
        self._wait()
        status = self._process.poll()
        if status == -signal.SIGKILL:
            self.problem = "its process was killed, most likely because the machine has not enough memory"
            return
        how = (
            f"was ended by {signal.Signals(-status).name}"
            if status and status < 0
            else f"ended with exit code {status}"
        )
        self.problem = f"its process {how}{self._last_words()}"

    def _wait(self) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_HANG_UP_SECONDS)

    def _last_words(self) -> str:
        log = self._job.log
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return f": {lines[-1][:_LONGEST_WORDS]}" if lines else ""
