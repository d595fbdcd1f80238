"""Runs LoadGen's tests: each in a process of its own, which ends with it whatever happens."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from importlib.util import find_spec
from multiprocessing.connection import Connection

from loadtest.errors import Failed, ResultsError, Unusable
from loadtest.mlperf.job import Job, Outcome
from loadtest.mlperf.scenario import scenario_of
from loadtest.mlperf.worker import work

# Seconds that a stopped test has for handing over what it measured.
_PARTING = 5.0


class MlperfRun:
    """One test of LoadGen.

    Attributes:
        outcome: what was measured; after a cancellation of ``run`` what was measured until then, without a summary.
    """

    def __init__(self, job: Job) -> None:
        self.outcome = Outcome()
        self._job = job

    async def run(self) -> Outcome:
        """Test to the end.

        Raises:
            BadSpec: LoadGen has no such load.
            Unusable: LoadGen is not installed.
            ResultsError: the directory of the logs cannot be made.
            Failed: the target cannot be measured, or the process died.
        """
        scenario_of(self._job.settings.load)
        if find_spec("mlperf_loadgen") is None:
            raise Unusable("the engine 'mlperf' needs MLPerf LoadGen: install serving-gateway[mlperf]")
        _make_directory(self._job)
        spawning = multiprocessing.get_context("spawn")
        ours, theirs = spawning.Pipe()
        process = spawning.Process(target=work, args=(theirs, self._job), name="LoadGen", daemon=True)
        process.start()
        theirs.close()
        try:
            self.outcome = await _receive(ours)
        except asyncio.CancelledError:
            self.outcome = await _stop(ours)
            raise
        finally:
            ours.close()
            process.kill()
            process.join()
        if self.outcome.problem:
            raise Failed(self.outcome.problem)
        return self.outcome


def _make_directory(job: Job) -> None:
    try:
        job.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"cannot write {job.directory}: {error.strerror}") from None


async def _stop(connection: Connection) -> Outcome:
    try:
        connection.send(None)
        async with asyncio.timeout(_PARTING):
            return await _receive(connection)
    except (Failed, OSError):
        return Outcome()  # it had ended already, or is stuck


async def _receive(connection: Connection) -> Outcome:
    readable = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(connection.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection.fileno())
    os.set_blocking(connection.fileno(), True)  # uvloop made it non-blocking to watch it
    try:
        outcome: Outcome = connection.recv()
    except (EOFError, ConnectionError):
        raise Failed("MLPerf LoadGen's process ended by itself in the middle of the test") from None
    return outcome
