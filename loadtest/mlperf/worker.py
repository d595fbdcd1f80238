"""The process that LoadGen runs in, because nothing else can end a test of LoadGen's before its time."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from multiprocessing.connection import Connection

import uvloop

from loadtest.clock import Clock, open_clock
from loadtest.errors import LoadTestError
from loadtest.mlperf.job import Job, Outcome
from loadtest.mlperf.session import Session
from loadtest.mlperf.summary import read_summary
from loadtest.results.mlperf import MlperfSummary


def work(connection: Connection, job: Job) -> None:
    """Do ``job`` and send its ``Outcome``. Whatever arrives on ``connection``, or its end, stops the test early."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    uvloop.run(_work(connection, job))


async def _work(connection: Connection, job: Job) -> None:
    with open_clock() as clock, open_clock() as lag_clock:
        _cancel_on_message(connection)
        outcome = await _test(job, clock, lag_clock)
        os.set_blocking(connection.fileno(), True)  # uvloop made it non-blocking to watch it
        connection.send(outcome)
        # LoadGen's thread may still ask, and would abort the process once the event loop is closed.
        os._exit(0)


def _cancel_on_message(connection: Connection) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def cancel() -> None:
        loop.remove_reader(connection.fileno())
        if task is not None:
            task.cancel()

    loop.add_reader(connection.fileno(), cancel)


async def _test(job: Job, clock: Clock, lag_clock: Clock) -> Outcome:
    """A cancellation ends the test with what there is."""
    try:
        system = await job.open_system(clock)
    except LoadTestError as error:
        return Outcome(problem=str(error))
    except asyncio.CancelledError:
        return Outcome()
    gc.collect()
    gc.freeze()
    gc.disable()  # a collection would be measured as the server's time
    session = Session(system, job.settings, job.directory, clock, lag_clock)
    try:
        await session.run()
    except asyncio.CancelledError:
        return Outcome(session.block(job.repetition))
    try:
        summary = read_summary(job.directory)
        return Outcome(session.block(job.repetition, _void(summary)), summary)
    except LoadTestError as error:
        return Outcome(problem=str(error))


def _void(summary: MlperfSummary) -> str:
    """LoadGen's sentence when the in-flight bound was reached: it stops, and the load was not what was asked for."""
    return next((f"cannot keep up: {reason}" for reason in summary.reasons if "outstanding" in reason), "")
