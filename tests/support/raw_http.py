"""HTTP as bytes on a socket, for requests that no client library would send."""

import asyncio
import contextlib
import json


class Answer:
    """One answer as it came; ``closed`` says whether the server closed the connection after it."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def document(self):
        return json.loads(self.body)


class Connection:
    """A connection to ``host:port``."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer

    async def send(self, data):
        # A server that refuses may close before it has read everything.
        with contextlib.suppress(ConnectionError, RuntimeError):  # uvloop's word for a closed transport
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self, *, seconds=10.0, bodiless=False):
        """The next answer; None when the server has closed the connection."""
        async with asyncio.timeout(seconds):
            try:
                head = await self.reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            line, *lines = head.decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines if line)
            length = 0 if bodiless else int(headers.get("content-length", 0))
            return Answer(int(line.split(" ")[1]), headers, await self.reader.readexactly(length))

    async def answers(self):
        """All answers until the server closes the connection."""
        found = []
        while (answer := await self.answer()) is not None:
            found.append(answer)
        return found


@contextlib.asynccontextmanager
async def connected(address):
    """A ``Connection`` that is closed at the end."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def exchange(address, *pieces, **options):
    """Send ``pieces``; the first answer."""
    async with connected(address) as connection:
        for piece in pieces:
            await connection.send(piece)
        return await connection.answer(**options)


def post(path, body=b"", *lines):
    """A POST with a Content-Length and further header ``lines``."""
    head = [f"POST {path} HTTP/1.1".encode(), b"Host: x", b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body
