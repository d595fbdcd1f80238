"""One protocol over gRPC: a table of operations and a handler for each, made into services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
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

    @contextlib.contextmanager
    def inference(self, protocol: str, method: str, context: Call) -> Iterator[RequestContext]:
        """The context of one inference by ``method``, as operations name it.

        A refusal inside is counted, and how it went is reported to the client and to the span of the inference.

        Raises:
            InvalidRequest: a hint in the call's metadata is malformed.
        """
        metadata = context.metadata
        call = RequestContext(protocol)
        CURRENT.set(call)
        call.traceparent, call.tracestate = metadata.get("traceparent", ""), metadata.get("tracestate", "")
        self.server.tracer.begin(call, method, {"rpc.system.name": "grpc", "rpc.method": method})
        problem: BaseException | None = None
        try:
            read_hints(call, metadata, context.time_remaining())
            yield call
        except BaseException as error:
            problem = error
            if isinstance(error, GatewayError) and not call.served_by:
                self.server.rejected(error, call)
            raise
        finally:
            context.trailing = trailing_of(call, problem)
            if call.span is not None:
                end_span(call.span, problem)

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
