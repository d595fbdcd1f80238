"""gRPC unary calls over one HTTP/2 channel, with messages that were encoded beforehand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc

from loadtest.clients import Answer, RequestFailed
from loadtest.clock import Clock

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a target must not share its connection with another one
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class GrpcClient:
    """Sends encoded messages to ``method`` of the server at ``address``; calls in flight share one connection."""

    def __init__(
        self,
        address: str,
        method: str,
        requests: Sequence[bytes],
        *,
        clock: Clock,
        timeout: float,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._requests = requests
        self._clock = clock
        self._timeout = timeout
        self._metadata = tuple(metadata)
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        # Without serialisers the messages stay bytes on both ways.
        self._call = self._channel.unary_unary(method)

    async def connect(self, connections: int) -> None:  # noqa: ARG002
        """Have the channel connected; every call in flight uses it. Raises RequestFailed."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._ready()
        except TimeoutError:
            raise RequestFailed("connect", "timed out") from None

    async def _ready(self) -> None:
        state = self._channel.get_state(try_to_connect=True)
        while state is not grpc.ChannelConnectivity.READY:
            await self._channel.wait_for_state_change(state)
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                raise RequestFailed("connect", "no gRPC server answers")

    async def send(self, sample: int) -> Answer:
        """Send message number ``sample``."""
        try:
            body = await self._call(self._requests[sample], timeout=self._timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise RequestFailed("timeout") from None
            raise RequestFailed(f"gRPC {error.code().name}", error.details() or "") from None
        return Answer(body, None, self._clock.now())

    async def close(self) -> None:
        await self._channel.close()
