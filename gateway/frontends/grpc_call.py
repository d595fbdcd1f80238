"""One gRPC call on the server: its messages in, its answer out."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import grpc

from gateway.core.errors import InvalidRequest, PayloadTooLarge, forget_frames
from gateway.core.limits import Limits
from gateway.core.tensors import Buffer
from gateway.frontends.authorization import Caller
from gateway.frontends.compression import Compressor
from gateway.frontends.grpc_edge import Status, status_of
from gateway.frontends.grpc_head import CallHead, refusal
from gateway.http2.server import ServerConnection
from gateway.http2.server_stream import ServerStream

Connection = ServerConnection[CallHead]

PREFIX_LENGTH = 5  # octets before a message: whether it is compressed, and its length
PREFIX = struct.Struct(">BI")
_LATE = "the request was not complete in time"


@dataclass(slots=True)
class Shared:
    """What the calls of a server have in common; ``calls`` are under way."""

    limits: Limits
    compressor: Compressor
    calls: int = 0


class Call(ServerStream):
    """A call, as its handler sees it.

    Attributes:
        metadata: by key; what came several times is one list. Not to be changed.
        trailing: metadata to be sent after the answer.
    """

    __slots__ = ("_connection", "_deadline", "_gone", "_head", "_loop", "_number", "_shared", "_task", "trailing")

    def __init__(self, connection: Connection, number: int, head: CallHead, shared: Shared) -> None:
        super().__init__()
        self.trailing: list[tuple[str, str]] = []
        self._connection, self._number, self._head, self._shared = connection, number, head, shared
        self._loop = asyncio.get_running_loop()
        self._deadline = None if head.timeout is None else self._loop.time() + head.timeout
        self._task: asyncio.Task[None] | None = None
        self._gone = False  # answered, or the client is not interested any more
        shared.calls += 1

    # ---- for handlers

    @property
    def metadata(self) -> Mapping[str, str]:
        return self._head.metadata

    @property
    def caller(self) -> Caller:
        """Where the call comes from."""
        return Caller(self._connection.peer, self._head.metadata.get("authorization", ""))

    def time_remaining(self) -> float | None:
        """Seconds until the call's deadline; None without one."""
        return None if self._deadline is None else self._deadline - self._loop.time()

    # ---- ServerStream

    def late(self) -> None:
        self._fail(grpc.StatusCode.DEADLINE_EXCEEDED, _LATE)

    def abandoned(self) -> None:
        self._leave()
        if self._task is None:
            self._connection.unwound()
        else:
            self._task.cancel()
            self._task.add_done_callback(self._unwound)

    # ---- for the kinds of calls

    def _start(self) -> None:
        self._task = self._loop.create_task(self._answer_errors())

    async def _answer_errors(self) -> None:
        try:
            await self._run()
        except asyncio.CancelledError:
            if self._gone:
                raise
            self._fail(grpc.StatusCode.CANCELLED, "cancelled")  # by something within
        except Exception as error:
            self._fail(*status_of(error))
            forget_frames(error)

    async def _run(self) -> None:
        """Answer the call."""
        raise NotImplementedError

    async def _inflated(self, compressed: int, message: bytes) -> bytes:
        """``message`` as it was before it was compressed."""
        if not compressed:
            return message
        if compressed != 1 or self._head.coding == "identity":
            raise Status(grpc.StatusCode.INTERNAL, "a message that is compressed, and grpc-encoding does not say how")
        try:
            return await self._shared.compressor.inflate(message, self._head.coding.encode(), self._shared.limits)
        except PayloadTooLarge:
            raise
        except InvalidRequest:
            raise Status(grpc.StatusCode.INTERNAL, f"a message that is not valid {self._head.coding}") from None

    def _check_length(self, length: int) -> None:
        limit = self._shared.limits.body_bytes
        if length > limit:
            text = f"a message of {length} bytes is over the limit of {limit}"
            raise Status(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def _fail(self, code: grpc.StatusCode, text: str) -> None:
        if not self._gone:
            self._leave()
            self._connection.answers.answer_empty(self._number, refusal(code, text, self.trailing))

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            self._shared.calls -= 1

    def _unwound(self, _: asyncio.Task[None]) -> None:
        self._connection.unwound()


class RefusedCall(Call):
    """A call that gets an encoded header block and nothing else."""

    __slots__ = ("_answer",)

    def __init__(self, connection: Connection, number: int, head: CallHead, shared: Shared, answer: bytes) -> None:
        super().__init__(connection, number, head, shared)
        self._answer = answer

    def begin(self) -> None:
        self._leave()
        self._connection.answers.answer_empty(self._number, self._answer)

    def data(self, payload: Buffer) -> None:
        """Nobody reads it."""

    def end(self) -> None:
        """It was answered before."""

    def drained(self) -> None:
        """Nothing waits for it."""


Method = Callable[[Connection, int, CallHead, Shared], Call]


def refused(answer: bytes) -> Method:
    """What answers every call with the header block ``answer``."""
    return partial(RefusedCall, answer=answer)
