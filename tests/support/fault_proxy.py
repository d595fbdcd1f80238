"""A TCP proxy in front of a server that does what servers and networks do on their bad days."""

import asyncio
import math
import socket
import struct

_HOST = "127.0.0.1"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


class Pass:
    """Hands everything on. A fault differs in what it does with the bytes of a request, or with those of an answer."""

    def request(self, link, data):
        link.forward(data)

    def answer(self, link, data):
        link.deliver(data)


class Refuse(Pass):
    """Nobody listens, and connections are cut, as those of a process that died."""


class Hang(Pass):
    """Takes connections and requests, and does nothing with them."""

    def request(self, link, data):
        pass

    def answer(self, link, data):
        pass


class Delay(Pass):
    """Answers come ``seconds`` later, and take ``factor`` times as long as without that."""

    def __init__(self, seconds=0.0, factor=1.0):
        self._seconds = seconds
        self._factor = factor

    def answer(self, link, data):
        link.deliver(data, link.now() + self._seconds + (self._factor - 1) * (link.now() - link.asked_at))


class Drip(Pass):
    """Answers come in pieces of ``size`` bytes, one every ``seconds``."""

    def __init__(self, seconds, size=1):
        self._seconds = seconds
        self._size = size

    def answer(self, link, data):
        for start in range(0, len(data), self._size):
            link.deliver(data[start : start + self._size], max(link.now(), link.busy_until) + self._seconds)


class Reset(Pass):
    """Resets the connection in place of what follows on the first ``after`` bytes of an answer."""

    def __init__(self, after=0):
        self._after = after

    def answer(self, link, data):
        left = self._after - link.answered
        link.deliver(data[:left])
        if len(data) > left:
            link.reset()


class Say(Pass):
    """Answers every request with ``data`` by itself; with ``close`` the connection ends there."""

    def __init__(self, data, *, close):
        self._data = data
        self._close = close

    def request(self, link, data):
        link.deliver(self._data)
        if self._close:
            link.close()


class HalfClose(Hang):
    """Closes its own side at a request, and goes on listening."""

    def request(self, link, data):
        link.end()


def http_error(status):
    """A server that answers every request with ``status``."""
    return Say(b"HTTP/1.1 %d Fault\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}" % status, close=True)


def garbage():
    """A server that speaks no protocol."""
    return Say(bytes(range(256)), close=False)


def reset(transport):
    """Close a connection in the way that the other side sees it reset."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


class FaultProxy:
    """Leads to ``target`` (``host:port``); an async context manager.

    Counts the ``connections`` that it took and the bytes that it ``received`` from clients and ``sent`` to them.
    """

    def __init__(self, target):
        self._target = target.split(":")
        self.fault = Pass()
        self.connections = self.received = self.sent = 0
        self.links = set()
        self._server = None
        self._changed = asyncio.Event()
        # Keeps the port for us while nobody listens on it.
        self._reserved = self._socket(0)

    @property
    def port(self):
        return self._reserved.getsockname()[1]

    @property
    def address(self):
        return f"{_HOST}:{self.port}"

    async def __aenter__(self):
        await self.switch(self.fault)
        return self

    async def __aexit__(self, *error):
        await self.switch(Refuse())
        self._reserved.close()

    async def switch(self, fault):
        """Do as ``fault`` says from now on, also on connections that are open."""
        self.fault = fault
        if isinstance(fault, Refuse):
            if self._server is not None:
                self._server.close()
                self._server = None
            for link in list(self.links):
                link.close()
            await self.until(lambda: not self.links)
        elif self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Link(self), sock=self._socket(self.port))

    async def until(self, condition):
        """Return when ``condition()`` is true, which only what passes here may change."""
        while not condition():
            await self._changed.wait()

    def tell(self):
        """Something has changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def connect(self, protocol):
        await asyncio.get_running_loop().create_connection(lambda: protocol, *self._target)

    def _socket(self, port):
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((_HOST, port))
        return made


class _Link(asyncio.Protocol):
    """One connection of a client, and the one to the server that it leads to as soon as something is handed on.

    ``asked_at`` is when the last bytes of a request came, ``answered`` the number of bytes since; the client has
    everything at ``busy_until``.
    """

    def __init__(self, proxy):
        self._proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._client = None
        self._server = None  # a transport
        self._connecting = None
        self._unsent = []
        self.asked_at = self.busy_until = self.now()
        self.answered = 0

    def now(self):
        return self._loop.time()

    # what faults do

    def forward(self, data):
        """Hand ``data`` to the server."""
        if self._server is not None:
            self._server.write(data)
            return
        self._unsent.append(data)
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())

    def deliver(self, data, at=0.0):
        """Hand ``data`` to the client, not before ``at`` and never before what came earlier."""
        self.answered += len(data)
        self._in_turn(at, self._write, data)

    def end(self):
        """Close our side of the connection, once everything is delivered."""
        self._in_turn(0.0, lambda: self._client.can_write_eof() and self._client.write_eof())

    def close(self):
        """Close the connection, once everything is delivered."""
        self._in_turn(0.0, self._client.close)

    def reset(self):
        """Have the client see its connection reset."""
        reset(self._client)

    # asyncio.Protocol, on the client's side

    def connection_made(self, transport):
        self._client = transport
        self._proxy.connections += 1
        self._proxy.links.add(self)
        self._proxy.tell()

    def data_received(self, data):
        self.asked_at, self.answered = self.now(), 0
        self._proxy.received += len(data)
        self._proxy.fault.request(self, data)
        self._proxy.tell()

    def connection_lost(self, exc):
        if self._connecting is not None:
            self._connecting.cancel()
        if self._server is not None:
            self._server.abort()
        self._proxy.links.discard(self)
        self._proxy.tell()

    # the server's side

    async def _connect(self):
        try:
            await self._proxy.connect(_ServerSide(self))
        except OSError:
            self._client.abort()

    def server_connected(self, transport):
        self._server = transport
        self._server.writelines(self._unsent)

    def server_answered(self, data):
        self._proxy.fault.answer(self, data)

    def _write(self, data):
        if not self._client.is_closing():
            self._client.write(data)
            self._proxy.sent += len(data)
            self._proxy.tell()

    def _in_turn(self, at, action, *arguments):
        now = self.now()
        if max(at, self.busy_until) <= now:
            action(*arguments)
        else:  # never two at the very same time: the loop would be free to swap them
            self.busy_until = max(at, math.nextafter(self.busy_until, math.inf))
            self._loop.call_at(self.busy_until, action, *arguments)


class _ServerSide(asyncio.Protocol):
    def __init__(self, link):
        self._link = link

    def connection_made(self, transport):
        self._link.server_connected(transport)

    def data_received(self, data):
        self._link.server_answered(data)

    def connection_lost(self, exc):
        self._link.close()
