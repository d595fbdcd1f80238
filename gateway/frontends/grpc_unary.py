"""gRPC calls with one message and one answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import grpc

from gateway.frontends.compression import MIN_ANSWER, answer_coding
from gateway.frontends.grpc_call import PREFIX, PREFIX_LENGTH, Call, Connection, Method, Shared
from gateway.frontends.grpc_edge import Status
from gateway.frontends.grpc_head import ANSWER, CallHead, trailers
from gateway.http2.header_blocks import encode

UnaryHandler = Callable[[bytes, Call], Awaitable[bytes]]


def unary(handler: UnaryHandler) -> Method:
    """The method that ``handler`` answers; what it raises becomes the status."""
    return partial(UnaryCall, handler=handler)


class UnaryCall(Call):
    """One message, one answer."""

    __slots__ = ("_handler", "_length", "_pieces", "_size")

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
        self._pieces: list[bytes] = []
        self._size = 0  # of the pieces
        self._length = -1  # of the message, once that is known

    def begin(self) -> None:
        """The message comes first."""

    def data(self, payload: bytes) -> None:
        self._pieces.append(payload)
        self._size += len(payload)
        if self._size < PREFIX_LENGTH or self._gone:
            return
        try:
            if self._length < 0:
                self._read_prefix()
            if self._size > PREFIX_LENGTH + self._length:
                raise Status(grpc.StatusCode.UNIMPLEMENTED, "the call has more than one message")
            if len(self._pieces) > self._shared.limits.body_chunks:
                text = f"a message in over {self._shared.limits.body_chunks} pieces"
                raise Status(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        except Status as status:
            self._pieces.clear()
            self._fail(status.code, status.text)

    def end(self) -> None:
        if self._gone:
            return
        if self._length < 0 or self._size != PREFIX_LENGTH + self._length:
            self._fail(grpc.StatusCode.INTERNAL, "the call has no whole message")
            return
        self._start()

    def drained(self) -> None:
        """The answer is written at once, and waits in the connection if it has to."""

    async def _run(self) -> None:
        compressed = self._pieces[0][0]
        self._pieces[0] = self._pieces[0][PREFIX_LENGTH:]
        message = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if compressed:
            message = await self._message(compressed, message)
        answer = await self._handler(message, self)
        headers, flag = ANSWER, 0
        if len(answer) >= MIN_ANSWER and "accept-encoding" in self._head.metadata:
            headers, flag, answer = await self._compressed(answer)
        if not self._gone:
            self._leave()
            prefix = PREFIX.pack(flag, len(answer))
            self._connection.answers.answer(self._number, headers, prefix, answer, trailers(self.trailing))

    def _read_prefix(self) -> None:
        if len(self._pieces[0]) < PREFIX_LENGTH:
            self._pieces = [b"".join(self._pieces)]
        _, self._length = PREFIX.unpack_from(self._pieces[0])
        self._check_length(self._length)

    async def _compressed(self, answer: bytes) -> tuple[bytes, int, bytes]:
        """Header block, flag and message for a client that asks for compression, by HTTP's ``accept-encoding``.

        gRPC's own ``grpc-accept-encoding`` says what a client is able to read, which for most is everything.
        """
        coding = answer_coding(self._head.metadata["accept-encoding"].encode("latin-1"))
        smaller = await self._shared.compressor.deflate(answer, coding) if coding else None
        if smaller is None:
            return ANSWER, 0, answer
        return ANSWER + encode([(b"grpc-encoding", coding)]), 1, smaller
