"""gRPC calls with one message and one answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import grpc

from gateway.core.arrival import Arrival
from gateway.core.tensors import Buffer
from gateway.frontends.compression import MIN_ANSWER, answer_coding
from gateway.frontends.grpc_call import PREFIX, PREFIX_LENGTH, Call, Connection, Method, Shared
from gateway.frontends.grpc_edge import Status
from gateway.frontends.grpc_head import ANSWER, CallHead, trailers
from gateway.http2.header_blocks import encode

_MORE_THAN_ONE = "the call has more than one message"

UnaryHandler = Callable[[bytes, Call], Awaitable[bytes]]


def unary(handler: UnaryHandler) -> Method:
    """The method that ``handler`` answers; what it raises becomes the status."""
    return partial(UnaryCall, handler=handler)


class UnaryCall(Call):
    """One message, one answer."""

    __slots__ = ("_arrival", "_compression", "_handler", "_message", "_prefix")

    def __init__(
        self,
        connection: Connection,
        number: int,
        head: CallHead,
        shared: Shared,
        handler: UnaryHandler,
    ) -> None:
        super().__init__(connection, number, head, shared)
        self._handler = handler
        self._prefix = b""  # while it is not complete
        self._compression = 0  # of the message, by its prefix
        self._arrival: Arrival | None = None  # while the message is not complete
        self._message: bytes | None = None

    def begin(self) -> None:
        """The message comes first."""

    def data(self, payload: Buffer) -> None:
        if self._gone:
            return
        try:
            self._take(payload)
        except Status as status:
            self._arrival = None
            self._fail(status.code, status.text)

    def end(self) -> None:
        if self._gone:
            return
        if self._message is None:
            self._fail(grpc.StatusCode.INTERNAL, "the call has no whole message")
            return
        self._start()

    def drained(self) -> None:
        """The answer is written at once, and waits in the connection if it has to."""

    async def _run(self) -> None:
        message, self._message = self._message or b"", None
        if self._compression:
            message = await self._inflated(self._compression, message)
        answer = await self._handler(message, self)
        headers, flag = ANSWER, 0
        if len(answer) >= MIN_ANSWER and "accept-encoding" in self._head.metadata:
            headers, flag, answer = await self._compressed(answer)
        if not self._gone:
            self._leave()
            prefix = PREFIX.pack(flag, len(answer))
            self._connection.answers.answer(self._number, headers, prefix, answer, trailers(self.trailing))

    def _take(self, payload: Buffer) -> None:
        if self._message is None and self._arrival is None:
            self._begin_message(self._prefix + payload if self._prefix else payload)
        elif self._arrival is None or len(payload) > self._arrival.missing:
            raise Status(grpc.StatusCode.UNIMPLEMENTED, _MORE_THAN_ONE)
        else:
            self._go_on(self._arrival, payload)

    def _begin_message(self, begin: Buffer) -> None:
        if len(begin) < PREFIX_LENGTH:
            self._prefix = bytes(begin)
            return
        self._compression, length = PREFIX.unpack_from(begin)
        self._check_length(length)
        part = memoryview(begin)[PREFIX_LENGTH:]
        if len(part) > length:
            raise Status(grpc.StatusCode.UNIMPLEMENTED, _MORE_THAN_ONE)
        if len(part) == length:
            self._message = bytes(part)
        else:
            self._arrival = Arrival(length, part)

    def _go_on(self, arrival: Arrival, payload: Buffer) -> None:
        arrival.room[: len(payload)] = payload
        arrival.arrived(len(payload))
        if not arrival.missing:
            self._message, self._arrival = arrival.whole(), None

    async def _compressed(self, answer: bytes) -> tuple[bytes, int, bytes]:
        """Header block, flag and message for a client that asks for compression, by HTTP's ``accept-encoding``.

        gRPC's own ``grpc-accept-encoding`` says what a client is able to read, which for most is everything.
        """
        coding = answer_coding(self._head.metadata["accept-encoding"].encode("latin-1"))
        smaller = await self._shared.compressor.deflate(answer, coding) if coding else None
        if smaller is None:
            return ANSWER, 0, answer
        return ANSWER + encode([(b"grpc-encoding", coding)]), 1, smaller
