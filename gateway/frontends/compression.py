"""HTTP content codings both ways: bodies that arrive compressed, and answers for clients that take them compressed."""

from __future__ import annotations

import asyncio
import zlib
from concurrent.futures import ThreadPoolExecutor

from gateway.core.errors import InvalidRequest, PayloadTooLarge, Unsupported
from gateway.core.limits import Limits

OFFERED = b"gzip, deflate"
# A smaller answer fits one packet either way.
MIN_ANSWER = 1024

_CANONICAL = {b"gzip": b"gzip", b"x-gzip": b"gzip", b"deflate": b"deflate"}
_GZIP, _ZLIB, _RAW = 31, 15, -15  # zlib's window bits, which also say what surrounds the stream
# The least effort: an answer waits for it, and higher levels gain little on numbers.
_LEVEL = 1
_FEED = 16 * 1024  # bytes handed to zlib at once: it copies what it leaves over
_PIECE = 256 * 1024  # bytes that may come out at once
# What takes well under a millisecond stays on the event loop, in bytes.
_INLINE_OUTPUT = 64 * 1024
_INLINE_ANSWER = 16 * 1024
# Random numbers do not shrink; a sample of a large answer tells so before the whole is tried.
_SAMPLE = 8 * 1024
_WORTH_IT = 0.9
_THREADS = 2


class UnsupportedCoding(Unsupported):
    """The body is in a content coding that is not offered."""


def request_coding(header: bytes | None) -> bytes:
    """``gzip``, ``deflate`` or nothing, from a Content-Encoding header.

    Raises:
        UnsupportedCoding: another coding, or several on top of each other.
    """
    if header is None:
        return b""
    name = header.strip().lower()
    if name in (b"", b"identity"):
        return b""
    if name not in _CANONICAL:
        raise UnsupportedCoding(
            f"header Content-Encoding: {header[:40].decode('latin-1')!r} is not supported, one of gzip and deflate is"
        )
    return _CANONICAL[name]


def answer_coding(header: bytes | None) -> bytes:
    """The coding that a client with this Accept-Encoding header likes best, ``gzip`` or ``deflate``; empty for none."""
    if not header:
        return b""
    weights: dict[bytes, float] = {}
    for entry in header.lower().split(b","):
        name, *parameters = (part.strip() for part in entry.split(b";"))
        weights[_CANONICAL.get(name, name)] = _weight(parameters)
    others = weights.get(b"*", 0.0)
    best = max((b"gzip", b"deflate"), key=lambda name: weights.get(name, others))  # the first one of equals
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get(b"identity", 0.0) else b""


def _weight(parameters: list[bytes]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition(b"=")
        if name.strip() == b"q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


class Inflater:
    """Inflates one body in steps of bounded size; what comes out is never more than the limit and one piece."""

    def __init__(self, body: bytes, coding: bytes, limits: Limits) -> None:
        self._body = memoryview(body)
        self._limits = limits
        if coding == b"gzip":
            self._window = _GZIP
        else:
            # RFC 9110 means zlib's form by "deflate"; some clients send the bare stream.
            wrapped = len(body) >= 2 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
            self._window = _ZLIB if wrapped else _RAW
        self._stream = zlib.decompressobj(self._window)
        self._position = 0
        self._members = 1
        self._pieces: list[bytes] = []
        self._size = 0

    def run(self, until: int | None = None) -> bytes | None:
        """The whole body; None when more than ``until`` bytes have come out before its end, to be called again.

        Raises:
            InvalidRequest: it is damaged, cut short, or followed by something else.
            PayloadTooLarge: it is over the limit.
        """
        while True:
            if self._stream.eof:
                if self._position == len(self._body):
                    return b"".join(self._pieces)
                self._next_member()
            if until is not None and self._size > until:
                return None
            self._step()

    def _step(self) -> None:
        fed = self._body[self._position : self._position + _FEED]
        try:
            piece = self._stream.decompress(fed, _PIECE)
        except zlib.error:
            raise InvalidRequest("body: not valid in the coding that Content-Encoding names") from None
        self._position += len(fed) - len(self._stream.unconsumed_tail) - len(self._stream.unused_data)
        if not piece and not self._stream.eof and self._position == len(self._body):
            raise InvalidRequest("body: the compressed data is cut short")
        self._size += len(piece)
        if self._size > self._limits.body_bytes:
            raise PayloadTooLarge(f"body: over the limit of {self._limits.body_bytes} bytes when decompressed")
        self._pieces.append(piece)

    def _next_member(self) -> None:
        # gzip files may be several in a row; every other coding ends with its stream.
        if self._window != _GZIP or bytes(self._body[self._position : self._position + 2]) != b"\x1f\x8b":
            raise InvalidRequest("body: data follows the end of the compressed data")
        self._members += 1
        if self._members > self._limits.body_chunks:
            raise PayloadTooLarge(f"body: over the limit of {self._limits.body_chunks} compressed members")
        self._stream = zlib.decompressobj(_GZIP)


class Compressor:
    """Does the large ones in threads of its own, so that the event loop stays free."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="compression")

    async def inflate(self, body: bytes, coding: bytes, limits: Limits) -> bytes:
        """``body`` without its ``coding``; raises as ``Inflater.run``. An empty body needs no coding."""
        if not body:
            return body
        inflater = Inflater(body, coding, limits)
        whole = inflater.run(_INLINE_OUTPUT)
        if whole is None:
            whole = await asyncio.get_running_loop().run_in_executor(self._pool, inflater.run)
        return whole or b""

    async def deflate(self, body: bytes, coding: bytes) -> bytes | None:
        """``body`` in ``coding``; None where that would not be smaller."""
        if len(body) <= _INLINE_ANSWER:
            return _deflate(body, coding)
        return await asyncio.get_running_loop().run_in_executor(self._pool, _deflate_if_worth_it, body, coding)


def _deflate_if_worth_it(body: bytes, coding: bytes) -> bytes | None:
    middle = len(body) // 2
    sample = memoryview(body)[middle : middle + _SAMPLE]
    if len(zlib.compress(sample, _LEVEL)) > _WORTH_IT * len(sample):
        return None
    return _deflate(body, coding)


def _deflate(body: bytes, coding: bytes) -> bytes | None:
    stream = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP if coding == b"gzip" else _ZLIB)
    result = stream.compress(body) + stream.flush()
    return result if len(result) < len(body) else None
