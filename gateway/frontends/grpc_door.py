"""One protocol over gRPC: a table of operations and a handler for each, made into services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar

from gateway.core.current import CURRENT
from gateway.core.errors import GatewayError, Unsupported
from gateway.core.messages import RequestContext
from gateway.frontends.grpc_call import Call, Method
from gateway.frontends.grpc_edge import Gate, end_span, read_hints, trailing_of
from gateway.frontends.grpc_stream import StreamHandler, stream
from gateway.frontends.grpc_unary import UnaryHandler, unary
from gateway.frontends.operations import Access, Operation, bound
from gateway.frontends.server import Server

Handler = UnaryHandler | StreamHandler


class Inference:
    """Gives the context of an inference; how it went is told the client and the span, and a refusal is counted."""

    __slots__ = ("_call", "_context", "_server")

    def __init__(self, server: Server, call: Call, context: RequestContext) -> None:
        self._server = server
        self._call = call
        self._context = context

    def __enter__(self) -> RequestContext:
        return self._context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)

    def end(self, error: BaseException | None) -> None:
        """It is over, with an ``error`` or without."""
        context = self._context
        if isinstance(error, GatewayError) and not context.served_by:
            self._server.rejected(error, context)
        self._call.trailing = trailing_of(context, error)
        if context.span is not None:
            end_span(context.span, error)


class GRPCDoor:
    """Base of the doors. A subclass sets ``operations``, whose paths are ``package.Service/Method``."""

    operations: ClassVar[Sequence[Operation]]

    def __init__(self, server: Server, gate: Gate) -> None:
        self.server = server
        self._gate = gate

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        """A handler for each implemented operation, by its key."""
        raise NotImplementedError

    @property
    def services(self) -> list[str]:
        """Full names of the services."""
        return list(dict.fromkeys(operation.path.partition("/")[0] for operation in self.operations))

    def methods(self) -> dict[str, Method]:
        """What the gRPC server needs, by path."""
        return {
            f"/{each.path}": self._method(each, handler) for each, handler in bound(self.operations, self.handlers())
        }

    def inference(self, protocol: str, method: str, call: Call) -> Inference:
        """One inference by ``method``, as operations name it, for the time in which it is answered.

        Raises:
            InvalidRequest: a hint in the call's metadata is malformed.
        """
        metadata = call.metadata
        context = RequestContext(protocol)
        CURRENT.set(context)
        context.traceparent, context.tracestate = metadata.get("traceparent", ""), metadata.get("tracestate", "")
        self.server.tracer.begin(context, method, {"rpc.system.name": "grpc", "rpc.method": method})
        inference = Inference(self.server, call, context)
        try:
            read_hints(context, metadata, call.time_remaining())
        except GatewayError as error:
            inference.end(error)
            raise
        return inference

    def _method(self, operation: Operation, handler: Any) -> Method:
        async def one(data: bytes, context: Call) -> bytes:
            self._admit(operation, context)
            answer: bytes = await handler(data, context)
            return answer

        async def many(messages: AsyncIterator[bytes], context: Call) -> AsyncIterator[bytes]:
            self._admit(operation, context)
            async for answer in handler(messages, context):
                yield answer

        return stream(many) if operation.method == "stream" else unary(one)

    def _admit(self, operation: Operation, context: Call) -> None:
        if operation.access is Access.ADMIN:
            self.server.authorization.require_admin(context.caller)
        if operation.missing:
            raise Unsupported(operation.missing)
