"""Operations of the admin port that only administrators may use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.core.errors import GatewayError
from gateway.frontends.authorization import Authorization, Caller
from gateway.frontends.http_door import STATUS, lookup

Endpoint = Callable[[Request], Awaitable[Response]]


def guarded(endpoint: Endpoint, authorization: Authorization) -> Endpoint:
    """``endpoint`` for those whom ``authorization`` lets in; its errors as JSON."""

    async def answer(request: Request) -> Response:
        host = request.client.host if request.client else ""
        try:
            authorization.require_admin(Caller(host, request.headers.get("authorization", "")))
            return await endpoint(request)
        except GatewayError as error:
            return JSONResponse({"error": error.message}, status_code=lookup(STATUS, error))

    return answer
