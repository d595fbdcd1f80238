"""One protocol over gRPC: a table of operations and a handler for each, made into services."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import grpc

from gateway.core.current import CURRENT
from gateway.core.errors import GatewayError, Unsupported
from gateway.core.messages import RequestContext
from gateway.frontends.authorization import Caller
from gateway.frontends.compression import MIN_ANSWER
from gateway.frontends.grpc_edge import (
    Gate,
    abort_with,
    compress_answer,
    end_span,
    metadata_of,
    read_hints,
    report,
)
from gateway.frontends.operations import Access, Operation, bound
from gateway.frontends.server import Server

Unary = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]
# ``stream`` methods get the messages as they come; one that takes a single message reads just that.
Stream = Callable[[AsyncIterator[bytes], grpc.aio.ServicerContext], AsyncIterator[bytes]]
Handler = Unary | Stream


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

    def generic_handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        """What the gRPC server needs, one for each service."""
        methods: dict[str, dict[str, grpc.RpcMethodHandler]] = {service: {} for service in self.services}
        for operation, handler in bound(self.operations, self.handlers()):
            service, _, name = operation.path.partition("/")
            methods[service][name] = self._method(operation, handler)
        return tuple(grpc.method_handlers_generic_handler(service, found) for service, found in methods.items())

    @contextlib.contextmanager
    def inference(self, protocol: str, method: str, context: grpc.aio.ServicerContext) -> Iterator[RequestContext]:
        """The context of one inference by ``method``, as operations name it.

        A refusal inside is counted, and how it went is reported to the client and to the span of the inference.

        Raises:
            InvalidRequest: a hint in the call's metadata is malformed.
        """
        metadata = metadata_of(context)
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
            report(context, call, problem)
            if call.span is not None:
                end_span(call.span, problem)

    def _method(self, operation: Operation, handler: Any) -> grpc.RpcMethodHandler:
        async def unary(data: bytes, context: grpc.aio.ServicerContext) -> bytes:
            try:
                self._admit(operation, context)
                answer: bytes = await handler(data, context)
                if len(answer) >= MIN_ANSWER:
                    await compress_answer(context)
                return answer
            except Exception as error:
                return await abort_with(context, error)

        async def stream(messages: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
            try:
                self._admit(operation, context)
                async for answer in handler(messages, context):
                    yield answer
            except Exception as error:
                await abort_with(context, error)

        if operation.method == "stream":
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    def _admit(self, operation: Operation, context: grpc.aio.ServicerContext) -> None:
        self._gate.enter()
        if operation.access is Access.ADMIN:
            self.server.authorization.require_admin(caller_of(context))
        if operation.missing:
            raise Unsupported(operation.missing)


def caller_of(context: grpc.aio.ServicerContext) -> Caller:
    """Where a call comes from."""
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    # "ipv4:127.0.0.1:5000" or "ipv6:%5B::1%5D:5000"
    address = context.peer().partition(":")[2].rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]")
    return Caller(address, metadata.get("authorization", ""))
