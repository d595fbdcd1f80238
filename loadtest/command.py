"""What the commands share: finding the model and the stack, running until done or stopped, and ending with an error."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
import uvloop
from rich.console import Console

from loadtest.stack_state import StackError, StackState, read_stack
from model_store.errors import ModelMissing, StoreError
from model_store.store import ModelStore, StoredModel, default_root

USAGE, FAILURE, INTERRUPTED = 2, 1, 130
T = TypeVar("T")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def fail(message: str, code: int) -> NoReturn:
    """End with one sentence on stderr."""
    err.print(f"Error: {message}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def find_model(name: str, store: Path | None) -> StoredModel:
    """The built model called ``name``; ends the program when there is none."""
    try:
        return ModelStore(store or default_root()).get(name)
    except ModelMissing as error:
        fail(str(error), USAGE)
    except StoreError as error:
        fail(str(error), FAILURE)


def find_stack(run_directory: Path, model: str) -> StackState:
    """The running stack, which must serve ``model``; ends the program otherwise."""
    try:
        stack = read_stack(run_directory)
    except StackError as error:
        fail(str(error), USAGE)
    if model not in stack.models:
        fail(f"the running stack does not serve {model!r}; it serves {', '.join(stack.models) or 'nothing'}", USAGE)
    return stack


def result_path(directory: Path, stem: str) -> Path:
    """Where to put the result, made sure of before any time is spent on measuring."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"cannot write results to {directory}: {error.strerror}", USAGE)
    if not os.access(directory, os.W_OK):
        fail(f"cannot write results to {directory}: permission denied", USAGE)
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
