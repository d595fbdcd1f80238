"""What all HTTP protocols share at the edge: the request's context, the error table, the headers of an answer."""

from __future__ import annotations

import orjson
import structlog

from gateway.core import errors
from gateway.core.messages import RequestContext
from gateway.frontends import hints
from gateway.frontends.asgi import ClientDisconnected, Headers, Receive, Scope, Send, header_text, read_body, respond
from gateway.frontends.server import Server

_log = structlog.get_logger()

_JSON = (b"content-type", b"application/json")
# While draining, tells keep-alive clients to go elsewhere with their next request.
CLOSE = (b"connection", b"close")

# The most specific class wins; see the tree in gateway.core.errors.
_STATUS: dict[type[errors.GatewayError], int] = {
    errors.InvalidRequest: 400,
    errors.PayloadTooLarge: 413,
    errors.NotFound: 404,
    errors.Unsupported: 501,
    errors.DeadlineExceeded: 504,
    errors.Unavailable: 503,
    errors.BackendError: 500,
}


def status_of(error: errors.GatewayError) -> int:
    """The HTTP status for ``error``."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


class InferEndpoint:
    """One way to ask for an inference over HTTP: subclasses say how bodies are read and written.

    A subclass implements ``answer``; everything around it — context, limits, errors, hints — is the same for all.
    """

    protocol: str

    def __init__(self, server: Server) -> None:
        self.server = server

    async def answer(
        self, model: str, version: str, body: bytes, headers: dict[bytes, bytes], context: RequestContext
    ) -> tuple[bytes, Headers]:
        """Body and headers of the answer to an inference on ``model``."""
        raise NotImplementedError

    async def __call__(self, model: str, version: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        context = RequestContext(self.protocol)
        try:
            self._refuse_encoded(headers)
            body = await read_body(receive, headers, self.server.limits)
            context = _context(self.protocol, headers)
            payload, extra = await self.answer(model, version, body, headers, context)
        except ClientDisconnected:
            return
        except errors.GatewayError as error:
            if not context.served_by:
                self.server.rejected(error.reason)
            await respond_error(send, error, self._tail(context))
        except Exception:
            _log.exception("request failed unexpectedly", protocol=self.protocol, model=model)
            await respond_error(send, errors.GatewayError("internal error"), self._tail(context))
        else:
            await respond(send, 200, payload, [*extra, *self._tail(context)])

    def _tail(self, context: RequestContext) -> Headers:
        """The headers that every answer ends with."""
        tail: Headers = [(b"server-timing", hints.server_timing(context).encode())]
        if context.served_by:
            tail.append((b"x-gateway-served-by", context.served_by.encode()))
        if self.server.lifecycle.draining:
            tail.append(CLOSE)
        return tail

    def _refuse_encoded(self, headers: dict[bytes, bytes]) -> None:
        coding = headers.get(b"content-encoding", b"identity")
        if coding != b"identity":
            raise errors.Unsupported(f"header Content-Encoding: {coding[:40].decode('latin-1')!r} is not supported")


async def respond_json(send: Send, status: int, document: object, extra: Headers | None = None) -> None:
    """Answer with ``document`` as JSON."""
    await respond(send, status, orjson.dumps(document), [_JSON, *(extra or ())])


async def respond_error(send: Send, error: errors.GatewayError, extra: Headers | None = None) -> None:
    """Answer with ``{"error": …}`` and the status of ``error``."""
    await respond_json(send, status_of(error), {"error": error.message}, extra)


def _context(protocol: str, headers: dict[bytes, bytes]) -> RequestContext:
    timeout = header_text(headers, b"x-gateway-timeout-ms")
    return RequestContext(
        protocol,
        backend=header_text(headers, b"x-gateway-backend") or "",
        timeout=None if timeout is None else hints.parse_timeout(timeout),
        traceparent=header_text(headers, b"traceparent") or "",
    )
