"""ModelStreamInfer: many inferences over one call, each answered by a message of its own, in the same order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.frontends.grpc_edge import Gate

# Requests of one stream that are worked on, or answered and not yet sent, at a time. The client's next message is not
# read before there is room, so that it waits on its side and takes no memory here.
MAX_IN_FLIGHT = 32


async def answer_in_order(
    messages: AsyncIterator[bytes], answer: Callable[[bytes], Awaitable[bytes]], gate: Gate
) -> AsyncIterator[bytes]:
    """What ``answer`` gives for each of ``messages``, in their order, while up to MAX_IN_FLIGHT are worked on.

    Ends when ``messages`` has ended and all are answered. What is not answered when the caller goes is cancelled.

    Raises:
        Unavailable: ``gate`` was closed; no message is read after that, and those that were are answered first.
    """
    room = asyncio.Semaphore(MAX_IN_FLIGHT)
    running: asyncio.Queue[asyncio.Future[bytes] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            await room.acquire()
            async for data in messages:
                running.put_nowait(asyncio.ensure_future(answer(data)))
                await room.acquire()
        finally:
            running.put_nowait(None)

    reader = asyncio.create_task(read(), name="stream-reader")
    current: asyncio.Future[bytes] | None = None
    try:
        with gate.telling(reader.cancel):
            while (current := await running.get()) is not None:
                yield await current
                room.release()
        if reader.cancelled():
            gate.enter()
        reader.result()
    finally:
        reader.cancel()
        while current is not None:
            current.cancel()
            current = None if running.empty() else running.get_nowait()
