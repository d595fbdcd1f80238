"""gRPC calls with messages and answers as they come."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial

import grpc

from gateway.core.tensors import Buffer
from gateway.frontends.grpc_call import PREFIX, PREFIX_LENGTH, Call, Connection, Method, Shared
from gateway.frontends.grpc_edge import Status
from gateway.frontends.grpc_head import ANSWER, CallHead, trailers

# Gets the messages as they come; a method that takes a single message reads just that.
StreamHandler = Callable[[AsyncIterator[bytes], Call], AsyncIterator[bytes]]


def stream(handler: StreamHandler) -> Method:
    """The method that ``handler`` answers; what it raises becomes the status."""
    return partial(StreamCall, handler=handler)


class StreamCall(Call):
    """Messages and answers as they come."""

    __slots__ = ("_begun", "_buffer", "_handler", "_held", "_messages", "_read", "_room", "_wake")
    endless = True

    def __init__(
        self,
        connection: Connection,
        number: int,
        head: CallHead,
        shared: Shared,
        handler: StreamHandler,
    ) -> None:
        super().__init__(connection, number, head, shared)
        self._handler = handler
        self._buffer = bytearray()
        self._messages: deque[tuple[int, bytes]] = deque()
        self._wake = asyncio.Event()  # there is a message, or there will be none
        self._room = asyncio.Event()  # what was sent has left
        self._held = 0  # octets for which the client has no room
        self._read = 0  # of these, octets of messages that were used
        self._begun = False

    def begin(self) -> None:
        self._start()

    def data(self, payload: Buffer) -> None:
        if self._gone:
            return
        self._buffer += payload
        self._held += len(payload)
        try:
            if self._held > self._connection.bounds.window:
                raise Status(grpc.StatusCode.RESOURCE_EXHAUSTED, "more than the window of the stream")
            self._cut()
        except Status as status:
            self._fail(status.code, status.text)
            if self._task is not None:
                self._task.cancel()
        if self._messages:
            self._wake.set()

    def end(self) -> None:
        self._wake.set()

    def drained(self) -> None:
        self._room.set()

    def _cut(self) -> None:
        position = 0
        while len(self._buffer) - position >= PREFIX_LENGTH:
            compressed, length = PREFIX.unpack_from(self._buffer, position)
            self._check_length(length)
            end = position + PREFIX_LENGTH + length
            if len(self._buffer) < end:
                break
            self._messages.append((compressed, bytes(self._buffer[position + PREFIX_LENGTH : end])))
            position = end
        del self._buffer[:position]

    async def _iterate(self) -> AsyncIterator[bytes]:
        while True:
            while not self._messages:
                if self.complete:
                    if self._buffer:
                        raise Status(grpc.StatusCode.INTERNAL, "the last message is cut short")
                    return
                self._give_room()  # the next message may need all of it
                self._wake.clear()
                await self._wake.wait()
            compressed, message = self._messages.popleft()
            # As they are used, and not as they come: what nobody reads waits on the client's side.
            self._read += PREFIX_LENGTH + len(message)
            if 4 * self._read >= self._connection.bounds.window:
                self._give_room()
            yield await self._inflated(compressed, message)

    def _give_room(self) -> None:
        if self._read:
            self._connection.read_more(self._number, self._read)
            self._held -= self._read
            self._read = 0

    async def _run(self) -> None:
        async for answer in self._handler(self._iterate(), self):
            if self._gone:
                return  # the handler has not heard of it yet
            self._begin_answer()
            self._room.clear()
            if not self._connection.answers.send(self._number, PREFIX.pack(0, len(answer)) + answer):
                await self._room.wait()
        if not self._gone:
            self._begin_answer()
            self._leave()
            self._connection.answers.finish(self._number, trailers(self.trailing))

    def _begin_answer(self) -> None:
        if not self._begun:
            self._begun = True
            self._connection.answers.begin(self._number, ANSWER)

    def _fail(self, code: grpc.StatusCode, text: str) -> None:
        if self._gone or not self._begun:
            super()._fail(code, text)
        else:
            self._leave()
            self._connection.answers.finish(self._number, trailers(self.trailing, code, text))
