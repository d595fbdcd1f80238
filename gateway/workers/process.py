"""One run of one worker, as the parent sees it."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping

from gateway.config.settings import GatewayConfig
from gateway.runtime.process import describe_exit
from gateway.workers.messages import MAX_LINE, Answer, Configured, Failed, Ready, decode

# Settings are taken over without any input or output; a worker that needs longer hangs.
_CONFIGURE_SECONDS = 30.0


class WorkerFailed(Exception):
    """A worker did not start; the message is meant for the user, ``code`` is an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class WorkerProcess:
    """A fresh interpreter, so that nothing of the parent's event loop or libraries is in it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._asking = asyncio.Lock()

    @classmethod
    async def start(cls, index: int, settings: GatewayConfig) -> WorkerProcess:
        """Start the worker ``index`` with ``settings``; raises OSError when no process can be started."""
        command = (sys.executable, "-P", "-m", "gateway.workers.worker", str(index))
        started = cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, limit=MAX_LINE))
        await started._tell(settings)
        return started

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
        async with self._asking:
            await self._tell(settings)
            try:
                async with asyncio.timeout(_CONFIGURE_SECONDS):
                    answer = await self._answer()
            except TimeoutError:
                self.kill()  # a later answer of its would be taken for that to a later question
                return f"no answer within {_CONFIGURE_SECONDS:g} s"
        return answer.refusal if isinstance(answer, Configured) else "it ended meanwhile"

    def drain(self) -> None:
        """Have it answer what it has accepted, and end."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def kill(self) -> None:
        """End it now."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> int:
        """Its exit status, negative for a signal, once it is gone."""
        return await self._process.wait()

    async def _tell(self, settings: GatewayConfig) -> None:
        if self._process.stdin is None:
            return
        with contextlib.suppress(ConnectionError):  # it is gone, which shows in its answer
            self._process.stdin.write(settings.model_dump_json().encode() + b"\n")
            await self._process.stdin.drain()

    async def _answer(self) -> Answer | None:
        """What it says next; None when it is gone, or says what nobody understands."""
        if self._process.stdout is None:
            return None
        try:
            line = await self._process.stdout.readline()
            return decode(line) if line else None
        except ValueError:
            self.kill()
            return None
