"""One run of one worker, as the parent sees it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping

from gateway.config.settings import GatewayConfig
from gateway.core.log_settings import LogSettings
from gateway.runtime.hanging import HUNG_SECONDS, LAST_WORDS_SECONDS, until_hung
from gateway.runtime.process import describe_exit
from gateway.workers.messages import (
    MAX_LINE,
    Beat,
    Configure,
    Configured,
    Failed,
    Message,
    Order,
    Ready,
    WriteLogs,
    decode,
    encode,
)

# Orders are carried out without any input or output. A worker that serves is found to hang before this is over.
_OBEY_SECONDS = HUNG_SECONDS + 10.0


class WorkerFailed(Exception):
    """A worker did not start; the message is meant for the user, ``code`` is an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class WorkerHung(WorkerFailed):
    """It did not even say that it failed."""


class WorkerProcess:
    """A fresh interpreter, so that nothing of the parent's event loop or libraries is in it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._asking = asyncio.Lock()

    @classmethod
    async def start(cls, index: int, settings: GatewayConfig) -> WorkerProcess:
        """Start the worker ``index`` with ``settings``; raises OSError when no process can be started."""
        command = (sys.executable, "-P", "-m", "gateway.workers.worker", str(index))
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=MAX_LINE)
        if process.stdin is not None:
            process.stdin.write(encode(_configure(settings)))  # not waited for: it may hang before it reads
        return cls(process)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def until_ready(self) -> Mapping[str, str]:
        """Its addresses, as soon as it serves.

        Raises:
            WorkerFailed: it ends instead.
        """
        answer = await self._answer()
        if isinstance(answer, Ready):
            return answer.addresses
        if isinstance(answer, Failed):
            await self.ended()
            raise WorkerFailed(answer.reason, answer.code)
        raise WorkerFailed(f"a worker ended before it served: {describe_exit(await self.ended())}", 1)

    async def configure(self, settings: GatewayConfig) -> str:
        """Have it go on with ``settings``; returns why it does not, or nothing."""
        try:
            answer = await self._ask(_configure(settings))
        except TimeoutError:
            return f"no answer within {_OBEY_SECONDS:g} s"
        return answer.refusal if isinstance(answer, Configured) else "it ended meanwhile"

    async def write_logs(self, settings: LogSettings) -> None:
        """Have it write these log messages."""
        with contextlib.suppress(TimeoutError):  # another one will
            await self._ask(WriteLogs(settings))

    async def until_hung(self) -> None:
        """Return when its event loop has stood still for ``HUNG_SECONDS``; only for one that serves."""

        async def shows_life() -> bool:
            await self._order(Beat())
            return True  # where that was no answer, it is gone

        await until_hung(shows_life)

    def drain(self) -> None:
        """Have it answer what it has accepted, and end."""
        # Not by the end of its input: until it is gone it is to show that it lives.
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()

    async def abort(self) -> None:
        """End it now; where it can, it writes first what all its threads do."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGABRT)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self.ended()
        self.kill()
        await self.ended()

    def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> int:
        """Its exit status, negative for a signal, once it is gone."""
        return await self._process.wait()

    async def _ask(self, order: Order) -> Message | None:
        """What it answers; None when it is gone. Raises TimeoutError when that takes too long, and ends it."""
        try:
            async with asyncio.timeout(_OBEY_SECONDS):
                return await self._order(order)
        except TimeoutError:
            self.kill()  # a later answer of its would be taken for that to a later question
            raise

    async def _order(self, order: Order) -> Message | None:
        async with self._asking:
            await self._tell(order)
            return await self._answer()

    async def _tell(self, order: Order) -> None:
        if self._process.stdin is None:
            return
        with contextlib.suppress(ConnectionError):  # it is gone, which shows in its answer
            self._process.stdin.write(encode(order))
            await self._process.stdin.drain()

    async def _answer(self) -> Message | None:
        """What it says next; None when it is gone, or says what nobody understands."""
        if self._process.stdout is None:
            return None
        try:
            line = await self._process.stdout.readline()
            return decode(line) if line else None
        except ValueError:
            self.kill()
            return None


def _configure(settings: GatewayConfig) -> Configure:
    return Configure(settings.model_dump_json())
