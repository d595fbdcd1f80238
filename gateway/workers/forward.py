"""What the parent's admin port leaves to the workers: questions to one of them, orders to all."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import aiohttp
import orjson
from yarl import URL

from gateway.core.errors import GatewayError, InvalidRequest, Unavailable
from gateway.core.limits import Limits
from gateway.frontends.asgi import ClientDisconnected, Headers, Receive, Scope, Send, read_body, respond
from gateway.frontends.authorization import Authorization, Caller
from gateway.frontends.http_door import JSON, STATUS, lookup
from gateway.workers.crew import Crew

# No limit on the answer: draining a replica takes what it takes.
_PATIENCE = aiohttp.ClientTimeout(total=None, sock_connect=2.0)
_QUESTIONS = ("GET", "HEAD")
# What anybody may read who reaches a single gateway's admin port.
_OPEN = ("/backends",)
# Of the connection and not of the message, or made anew here.
_NOT_FORWARDED = {"connection", "keep-alive", "host", "content-length", "transfer-encoding", "date", "expect"}
# The client library's own; who asks may not know compression.
_NOT_ADDED = ("accept", "accept-encoding", "content-type", "user-agent")


@dataclass(slots=True, frozen=True)
class _Request:
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(slots=True, frozen=True)
class _Answer:
    status: int
    headers: Headers
    body: bytes


class Forward:
    """An ASGI application. ``GET`` and ``HEAD`` go to one worker; the rest to all, and the worst answer is given.

    Workers take the parent for an administrator, so that who asks is judged here.
    """

    def __init__(
        self, crew: Crew, session: aiohttp.ClientSession, authorization: Authorization, limits: Limits
    ) -> None:
        self._crew = crew
        self._session = session
        self._authorization = authorization
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except ClientDisconnected:
            return
        except GatewayError as error:
            answer = _Answer(lookup(STATUS, error), JSON, orjson.dumps({"error": error.message}))
        await respond(send, answer.status, answer.body, answer.headers)

    async def _answer(self, scope: Scope, receive: Receive) -> _Answer:
        headers = {name.lower(): value for name, value in scope["headers"]}
        path = scope["raw_path"].decode("latin-1")
        if not path.startswith("/"):
            raise InvalidRequest("a path that begins with / is expected")
        question = scope["method"] in _QUESTIONS
        if not (question and path in _OPEN):
            host = scope["client"][0] if scope["client"] else ""
            self._authorization.require_admin(Caller(host, headers.get(b"authorization", b"").decode("latin-1")))
        body = await read_body(receive, headers, self._limits)
        query = f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""
        request = _Request(scope["method"], path + query, _forwarded(scope["headers"]), body)
        return await (self._ask_one(request) if question else self._tell_all(request))

    async def _ask_one(self, request: _Request) -> _Answer:
        for slot in self._crew.ready:
            if answer := await self._ask(slot.addresses.get("admin"), request):
                return answer
        raise _nobody()

    async def _tell_all(self, request: _Request) -> _Answer:
        slots = self._crew.ready
        if not slots:
            raise _nobody()
        answers = await asyncio.gather(*(self._ask(slot.addresses.get("admin"), request) for slot in slots))
        silent = [str(slot.index) for slot, answer in zip(slots, answers, strict=True) if answer is None]
        if silent:
            raise Unavailable(f"no answer of worker {', '.join(silent)}; what the others were told they have done")
        return max((answer for answer in answers if answer is not None), key=lambda answer: answer.status)

    async def _ask(self, address: str | None, request: _Request) -> _Answer | None:
        """None when the worker ends before it answers, or has ended: it has no address then."""
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
                timeout=_PATIENCE,
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
        return _Answer(answer.status, kept, body)


def _forwarded(headers: Headers) -> tuple[tuple[str, str], ...]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    return tuple((name, value) for name, value in pairs if name.lower() not in _NOT_FORWARDED)


def _nobody() -> Unavailable:
    return Unavailable("no worker is ready")
