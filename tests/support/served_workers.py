"""A real ``gateway serve --workers N`` on free ports, in front of a model that multiplies."""

import asyncio
import contextlib
import json
import signal
import sys

import aiohttp
import yaml

ENGINE = {"kind": "embedded", "engine": "onnxruntime", "device": "cpu"}


def write_config(path, store, **changes):
    """A configuration on free ports for the models in ``store``."""
    free = {key: {"port": 0} for key in ("http", "grpc", "metrics", "admin")}
    fields = {**free, "model_store": str(store), "backends": {"engine": ENGINE}, **changes}
    path.write_text(yaml.safe_dump(fields))
    return path


async def spawn(config, *arguments):
    """The parent process, as it starts."""
    command = [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config), *arguments]
    return await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)


class Served:
    """A parent and its workers; ``events`` holds what they have logged, in order."""

    def __init__(self, process):
        self.process = process
        self.addresses = {}
        self.events = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self):
        while line := await self.process.stderr.readline():
            with contextlib.suppress(ValueError):
                self.events.append(json.loads(line))

    def logged(self, event):
        return [each for each in self.events if each["event"] == event]

    async def until(self, event, number=1, seconds=60):
        """The line of the ``number``-th such event."""
        async with asyncio.timeout(seconds):
            while len(self.logged(event)) < number:
                assert not self._reading.done(), f"it ended before it said {event!r}"
                await asyncio.sleep(0.01)
        return self.logged(event)[number - 1]

    async def get(self, listener, path, **options):
        return await self.ask("GET", listener, path, **options)

    async def ask(self, method, listener, path, **options):
        """Status and text of an answer."""
        async with aiohttp.ClientSession() as session:
            async with session.request(method, f"http://{self.addresses[listener]}{path}", **options) as answer:
                return answer.status, await answer.text()

    async def workers(self):
        return json.loads((await self.get("admin", "/workers"))[1])["workers"]

    async def end(self):
        """SIGTERM, then the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.exit_code()

    async def exit_code(self):
        async with asyncio.timeout(30):
            code = await self.process.wait()
            await self._reading
            return code


@contextlib.asynccontextmanager
async def serving(config, *arguments):
    served = Served(await spawn(config, *arguments))
    try:
        served.addresses = await served.until("serving")
        yield served
    finally:
        with contextlib.suppress(ProcessLookupError):
            served.process.kill()
        await served.process.wait()
