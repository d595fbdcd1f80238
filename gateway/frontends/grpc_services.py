"""The services that every gRPC server has beside its own: health and reflection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1.health_pb2 import DESCRIPTOR as HEALTH
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from gateway.core.errors import Unavailable
from gateway.frontends.grpc_call import Call, Method
from gateway.frontends.grpc_edge import Status
from gateway.frontends.grpc_stream import stream
from gateway.frontends.grpc_unary import unary
from gateway.protos.loader import pool

HEALTH_SERVICE = HEALTH.services_by_name["Health"].full_name
_MOST_WATCHED = 1_000  # calls, which last as long as clients like


class Health:
    """``grpc.health.v1``: for the whole server, whose name is empty, and for every service."""

    def __init__(self, services: Sequence[str]) -> None:
        self._names = ("", *services)
        self._ready = False
        self._closed = False
        self._changed = asyncio.Event()
        self._watchers = 0

    def methods(self) -> dict[str, Method]:
        """The handlers by path."""
        return {
            f"/{HEALTH_SERVICE}/Check": unary(self._check),
            f"/{HEALTH_SERVICE}/Watch": stream(self._watch),
        }

    def set(self, ready: bool) -> None:
        """Tell whoever asks, and whoever watches."""
        if ready != self._ready:
            self._ready = ready
            self._changed.set()
            self._changed = asyncio.Event()

    def close(self) -> None:
        """Nobody need watch any more."""
        self._closed = True
        self._changed.set()

    async def _check(self, data: bytes, _: Call) -> bytes:
        service = _parse(HealthCheckRequest, data).service
        if service not in self._names:
            raise Status(grpc.StatusCode.NOT_FOUND, f"no service {service[:80]!r} here")
        return self._answer(service)

    async def _watch(self, messages: AsyncIterator[bytes], _: Call) -> AsyncIterator[bytes]:
        if self._watchers >= _MOST_WATCHED:
            raise Status(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_MOST_WATCHED} calls watch already")
        async for data in messages:
            service = _parse(HealthCheckRequest, data).service
            self._watchers += 1
            try:
                while not self._closed:
                    changed = self._changed
                    yield self._answer(service)
                    await changed.wait()
                raise Unavailable("the server is shutting down")
            finally:
                self._watchers -= 1

    def _answer(self, service: str) -> bytes:
        answer: bytes = HealthCheckResponse(status=self._status(service)).SerializeToString()
        return answer

    def _status(self, service: str) -> HealthCheckResponse.ServingStatus.ValueType:
        if service not in self._names:
            return HealthCheckResponse.SERVICE_UNKNOWN
        return HealthCheckResponse.SERVING if self._ready else HealthCheckResponse.NOT_SERVING


def reflection_methods(services: Sequence[str]) -> dict[str, Method]:
    """``grpc.reflection.v1alpha`` over ``services`` and itself: the handlers by path."""
    names = (*services, reflection.SERVICE_NAME)
    servicer = reflection.aio.ReflectionServicer(names, pool=pool())

    async def info(messages: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
        questions = (_parse(ServerReflectionRequest, data) async for data in messages)
        async for answer in servicer.ServerReflectionInfo(questions, call):
            yield answer.SerializeToString()

    return {f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": stream(info)}


def _parse(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError:
        name = kind.DESCRIPTOR.full_name
        raise Status(grpc.StatusCode.INVALID_ARGUMENT, f"the message is not a valid {name}") from None
