"""A small closed-loop load for fault tests: every request is accounted for."""

import asyncio
import collections
import json

import aiohttp


class Load:
    """``workers`` clients that send one request after another until told to stop.

    ``outcomes`` counts "ok", "refused" (the connection was never accepted) and everything else by name;
    ``failures_of`` counts the failures of each worker.
    """

    def __init__(self, address, path, body, workers, headers=None, reuse=True):
        self.outcomes = collections.Counter()
        self.failures_of = collections.Counter()
        self.served_by = collections.Counter()
        self.errors = []
        self._url = f"http://{address}{path}"
        self._body = json.dumps(body).encode() if isinstance(body, dict) else body
        self._headers = headers or {}
        self._reuse = reuse
        self._stop = asyncio.Event()
        self._tasks = [asyncio.create_task(self._work(number)) for number in range(workers)]

    async def until(self, condition, seconds=60.0):
        """Wait until ``condition(self)`` is true; fails when it does not become so in time."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                await asyncio.sleep(0.01)

    async def stop(self):
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def _work(self, number):
        connector = aiohttp.TCPConnector(limit=1, force_close=not self._reuse)
        async with aiohttp.ClientSession(connector=connector) as session:
            while not self._stop.is_set():
                outcome = await self._send(session)
                self.outcomes[outcome] += 1
                if outcome == "refused":
                    await asyncio.sleep(0.01)
                elif outcome != "ok":
                    self.failures_of[number] += 1

    async def _send(self, session):
        try:
            async with session.post(self._url, data=self._body, headers=self._headers) as answer:
                text = await answer.read()
                if answer.status == 200:
                    self.served_by[answer.headers["x-gateway-served-by"]] += 1
                    return "ok"
                self.errors.append((answer.status, text[:200]))
                return f"HTTP {answer.status}"
        except aiohttp.ClientConnectorError as error:
            return "refused" if isinstance(error.os_error, ConnectionRefusedError) else repr(error)
        except aiohttp.ClientError as error:
            self.errors.append(repr(error))
            return type(error).__name__
