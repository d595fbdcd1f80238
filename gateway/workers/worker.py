"""One worker: a gateway process that shares its ports with others and does what its parent says.

``python -m gateway.workers.worker INDEX``, which gets its configuration on standard input; see ``messages``.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import sys

import uvloop

from gateway.app import App
from gateway.config.file import ConfigError
from gateway.config.settings import GatewayConfig
from gateway.frontends.listening import ListenError
from gateway.telemetry.logs import LOGS, configure_logging
from gateway.workers.assignment import drain_seconds
from gateway.workers.messages import (
    MAX_LINE,
    Alive,
    Answer,
    Configure,
    Configured,
    Failed,
    Ready,
    WriteLogs,
    decode,
    encode,
)
from gateway.workers.orphan import end_with_parent
from model_store.errors import StoreError


def main() -> int:
    """Run the worker until its parent, or its absence, or SIGTERM ends it; returns the exit code."""
    # Whoever prints, or reads, in this process must not meddle with what parent and worker say.
    orders, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    # A terminal sends these to the parent too, which knows what to do about them.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # The parent aborts a worker that hangs: this writes where, whatever holds the interpreter.
    faulthandler.enable()
    configure_logging(worker=int(sys.argv[1]))
    try:
        uvloop.run(_serve(orders, answers))
    except ConfigError as error:
        return _fail(answers, str(error), 2)
    except (ListenError, StoreError) as error:
        return _fail(answers, str(error), 1)
    return 0


async def _serve(orders: int, answers: int) -> None:
    reader = await _reader(orders)
    first = await reader.readline()
    if not first:
        return
    order = decode(first)
    if not isinstance(order, Configure):
        raise ValueError(f"a configuration is expected first, got {order}")
    settings = GatewayConfig.model_validate_json(order.document)
    end_with_parent(orders, drain_seconds(settings))
    app = App(settings)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, app.stop)
    following = asyncio.create_task(_follow(reader, app, answers), name="orders")
    await app.run(lambda addresses: _tell(answers, Ready(addresses)))
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following  # an error of ours has ended the worker, and must be seen


async def _follow(reader: asyncio.StreamReader, app: App, answers: int) -> None:
    try:
        while line := await reader.readline():
            _tell(answers, await _obey(app, line))
    finally:
        app.stop()


async def _obey(app: App, line: bytes) -> Answer:
    order = decode(line)
    if isinstance(order, Configure):
        return await _configure(app, GatewayConfig.model_validate_json(order.document))
    if isinstance(order, WriteLogs):
        LOGS.change(order.settings)
    return Alive()


async def _configure(app: App, settings: GatewayConfig) -> Configured:
    try:
        await app.reconfigure(settings)
    except ConfigError as error:
        return Configured(str(error))
    return Configured()


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=MAX_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb"))
    return reader


def _tell(answers: int, answer: Answer) -> None:
    with contextlib.suppress(BrokenPipeError):  # without a parent nobody wants to know
        os.write(answers, encode(answer))


def _fail(answers: int, reason: str, code: int) -> int:
    _tell(answers, Failed(reason, code))
    return code


if __name__ == "__main__":
    sys.exit(main())
