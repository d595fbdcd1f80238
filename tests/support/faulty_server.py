"""An HTTP server that answers with what it is told, good or not, for the load tester's fault tests."""

import asyncio
import contextlib

GOOD = "good"


class FaultyServer:
    """Answers every request after ``seconds`` with ``bodies[mode]``; other modes are hang, reset, garbage and 500.

    ``mode`` may be changed at any time; ``served`` counts the requests.
    """

    def __init__(self, bodies, seconds=0.005):
        self.bodies = bodies
        self.seconds = seconds
        self.mode = GOOD
        self.served = 0
        self.address = ""
        self._server = None
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error):
        self.refuse()
        await self._server.wait_closed()

    def refuse(self):
        """Close the port and every connection, as a server that died does."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                self.served += 1
                if not self._answer(writer):
                    break
        self._writers.discard(writer)
        writer.transport.abort()

    def _answer(self, writer):
        if self.mode == "reset":
            return False
        if self.mode == "garbage":
            writer.write(b"\x00\x01 this is no HTTP\r\n\r\n")
        elif self.mode == "500":
            writer.write(_answer(b"500 Internal Server Error", b'{"error":"out of memory"}'))
        elif self.mode != "hang":
            answer = _answer(b"200 OK", self.bodies[self.mode])
            asyncio.get_running_loop().call_later(self.seconds, writer.write, answer)
        return True


def _answer(status, body):
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)
