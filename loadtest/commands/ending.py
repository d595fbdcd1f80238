"""How every command ends: consoles, exit codes, errors as one sentence, and what Ctrl-C does."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar

import typer
import uvloop
from rich.console import Console

from loadtest.errors import LoadTestError, ResultsError, Unusable
from model_store.errors import ModelMissing, StoreError

# What was measured is not acceptable; what was asked cannot be done; the numbers are not valid; stopped by Ctrl-C.
FAILURE, USAGE, INVALID, INTERRUPTED = 1, 2, 3, 130
T = TypeVar("T")
P = ParamSpec("P")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def fail(message: str, code: int) -> NoReturn:
    """End with one sentence on stderr."""
    err.print(f"Error: {message}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def ends_well(command: Callable[P, T]) -> Callable[P, T]:
    """Turn the errors of ``command`` into one sentence and an exit code."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return command(*args, **kwargs)
        except (Unusable, ModelMissing) as error:
            fail(str(error), USAGE)
        except (LoadTestError, StoreError) as error:
            fail(str(error), FAILURE)
        except (asyncio.CancelledError, KeyboardInterrupt):
            fail("interrupted before anything was measured", INTERRUPTED)

    return guarded


def result_path(directory: Path, stem: str) -> Path:
    """Where to put the result, made sure of before any time is spent on measuring.

    Raises:
        ResultsError: the directory cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultsError(f"cannot write results to {directory}: {error.strerror}") from None
    if not os.access(directory, os.W_OK):
        raise ResultsError(f"cannot write results to {directory}: permission denied")
    return directory / f"{stem}-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"


def run_until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work``; the first Ctrl-C or SIGTERM cancels it, so that it can report, the second ends the program."""

    async def stoppable() -> T:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None  # noqa: S101

        def stop() -> None:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        return await work

    result: T = uvloop.run(stoppable())
    return result
