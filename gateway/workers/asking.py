"""The parent asks its workers on their admin ports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

from gateway.http1.reply import Headers
from gateway.workers.worker_slot import WorkerSlot

# No limit on the answer: draining a replica takes what it takes.
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=2.0)
# Questions are answered at once, or never: the worker hangs.
_QUESTION = aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=3.0)
_QUESTIONS = ("GET", "HEAD")
# Of the connection and not of the message, or made anew here.
_NOT_FORWARDED = {"connection", "keep-alive", "host", "content-length", "transfer-encoding", "date", "expect"}
# The client library's own; who asks may not know compression.
_NOT_ADDED = ("accept", "accept-encoding", "content-type", "user-agent")


@dataclass(slots=True, frozen=True)
class Request:
    """What a client asks: ``path`` with its query, as it came."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def is_question(self) -> bool:
        """Whether it changes nothing, and may be put to somebody else once more."""
        return self.method in _QUESTIONS


@dataclass(slots=True, frozen=True)
class Answer:
    """What a worker, or all of them, say."""

    status: int
    headers: Headers
    body: bytes


class WorkerClient:
    """Puts requests to single workers."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def ask(self, slot: WorkerSlot, request: Request) -> Answer | None:
        """None when the worker ends before it answers, hangs, or has ended: it has no address then."""
        address = slot.addresses.get("admin")
        if address is None:
            return None
        # As it came: a quoted slash in a name must stay one.
        url = URL(f"http://{address}{request.path}", encoded=True)
        try:
            async with self._session.request(
                request.method,
                url,
                headers=request.headers,
                data=request.body or None,
                timeout=_QUESTION if request.is_question else _PATIENCE,
                allow_redirects=False,
                skip_auto_headers=_NOT_ADDED,
            ) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return None
        kept = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
            if name.lower() not in _NOT_FORWARDED
        ]
        return Answer(answer.status, kept, body)


def forwarded(headers: Mapping[bytes, bytes]) -> tuple[tuple[str, str], ...]:
    """Those of a client's headers that a worker gets."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.items()]
    return tuple((name, value) for name, value in pairs if name not in _NOT_FORWARDED)
