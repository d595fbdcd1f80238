"""HTTP/2 as frames on a socket, for what no gRPC library would send."""

import asyncio
import contextlib
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ACK = END_STREAM = 1
END_HEADERS = 4
MAX_CONCURRENT_STREAMS = 3


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def kinds(data):
    """The kinds of the whole frames in ``data``."""
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        yield data[3]
        data = data[9 + length :]


def _string(text):
    assert len(text) < 127
    return bytes([len(text)]) + text


def header_block(path, *more):
    """A call's headers in HPACK: literals that touch no table."""
    pairs = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    ]
    return b"".join(b"\0" + _string(name) + _string(value) for name, value in pairs)


def message(data, compressed=0):
    """A gRPC message."""
    return struct.pack(">BI", compressed, len(data)) + data


class Connection:
    """A connection whose server has been greeted; ``settings`` are the server's."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.settings = {}

    async def send(self, data):
        """Send; returns False when the server has closed the connection."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except (ConnectionError, RuntimeError):
            return False
        return not self.writer.transport.is_closing()

    async def frame(self, seconds=10.0):
        """Kind, flags, stream and payload of the next frame; None at the end of the connection."""
        try:
            async with asyncio.timeout(seconds):
                head = await self.reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                return kind, flags, stream, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def until(self, kind, *, seconds=10.0):
        """The payload of the next frame of ``kind``; None when the connection ends first."""
        while (found := await self.frame(seconds)) is not None:
            if found[0] == kind and not (kind == SETTINGS and found[1] & ACK):
                return found[3]
        return None


@contextlib.asynccontextmanager
async def connected(address):
    """A ``Connection``."""
    reader, writer = await asyncio.open_connection(*address.split(":"))
    connection = Connection(reader, writer)
    try:
        await connection.send(PREFACE + frame(SETTINGS))
        payload = await connection.until(SETTINGS)
        connection.settings = {
            struct.unpack_from(">H", payload, at)[0]: struct.unpack_from(">I", payload, at + 2)[0]
            for at in range(0, len(payload), 6)
        }
        await connection.send(frame(SETTINGS, ACK))
        yield connection
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
