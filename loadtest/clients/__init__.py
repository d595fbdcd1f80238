"""What the load generator needs of a transport: write one encoded request now, say when the answer is complete."""

from __future__ import annotations

import asyncio
from typing import Protocol

from loadtest.calls import Call
from loadtest.clock import Clock


class Client(Protocol):
    """Sends requests that were encoded beforehand to one server. Nothing here is a coroutine on the hot path.

    Attributes:
        opened: connections that were opened so far; a rise under load is connection churn.
    """

    opened: int

    async def connect(self, connections: int) -> None:
        """Have ``connections`` connections (HTTP) or one with room for so many streams (gRPC) ready.

        Raises:
            ConnectError: the server is down, refuses or does not answer in time.
        """

    def start(self, call: Call) -> None:
        """Send ``call`` at once; ``call.finished`` is called later, or now. Never raises.

        A call that has no answer after the client's time-out ends with the failure ``timeout``.
        """

    async def close(self) -> None:
        """Close every connection; calls that are still open end with the failure ``closed``."""


class ConnectError(Exception):
    """No connection; ``str`` is a sentence such as ``connect: Connection refused``."""


async def ask(client: Client, payload: int, clock: Clock) -> Call:
    """One request on its own, awaited; ``failure`` of the returned call says whether it was answered."""
    answered: asyncio.Future[Call] = asyncio.get_running_loop().create_future()
    client.start(Call(payload, clock.now(), answered.set_result))
    return await answered
