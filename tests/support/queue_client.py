"""A client whose server is a queue with one lane, for the load loops on virtual time."""

import asyncio

NS = 1_000_000_000


class QueueClient:
    """Serves one request at a time in ``service()`` seconds, and none at all during its ``stalls`` (from, to).

    ``failing`` says of the n-th request (from 0) which failure it ends with, if any.
    """

    def __init__(self, clock, service, stalls=(), failing=lambda number: ""):
        self.clock = clock
        self.opened = 0
        self.sent = []
        self._service = service if callable(service) else lambda: service
        self._stalls = stalls
        self._failing = failing
        self._free = 0

    async def connect(self, connections):
        self.opened = max(self.opened, connections)

    def start(self, call):
        now = call.sent = self.clock.now()
        failure = self._failing(len(self.sent))
        self.sent.append(now)
        begin = max(now, self._free)
        for start, end in self._stalls:
            if start * NS <= begin < end * NS:
                begin = round(end * NS)
        self._free = begin + round(self._service() * NS)
        asyncio.get_running_loop().call_at(self._free / NS, self._answer, call, failure)

    async def close(self):
        pass

    def _answer(self, call, failure):
        call.first_byte = call.done = self.clock.now()
        if failure:
            call.fail(failure, call.done, "as told")
        else:
            call.finished(call)
