"""What the admin port offers for the configuration: shown, patched, read anew."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.core.errors import InvalidRequest, PayloadTooLarge
from gateway.core.live_config import Changes, ConfigControl
from gateway.frontends.authorization import Authorization
from gateway.frontends.guarded import guarded

_MOST_BYTES = 2**20
_FLAGS = {"0": False, "1": True}


def config_routes(config: ConfigControl, authorization: Authorization) -> list[BaseRoute]:
    """``GET`` and ``PATCH`` of the whole, and ``reload``; the last two answer with what has changed."""

    async def show(_: Request) -> Response:
        return JSONResponse(config.shown())

    async def patch(request: Request) -> Response:
        dry_run = _dry_run(request)
        return _answer(await config.patch(await _document(request), dry_run=dry_run), dry_run=dry_run)

    async def reload(request: Request) -> Response:
        dry_run = _dry_run(request)
        return _answer(await config.reload("api", dry_run=dry_run), dry_run=dry_run)

    return [
        Route("/config", guarded(show, authorization), methods=["GET"]),
        Route("/config", guarded(patch, authorization), methods=["PATCH"]),
        Route("/config/reload", guarded(reload, authorization), methods=["POST"]),
    ]


def _answer(changes: Changes, *, dry_run: bool) -> Response:
    changed = {key: {"from": before, "to": after} for key, (before, after) in changes.items()}
    return JSONResponse({"changed": changed, "dry_run": dry_run})


def _dry_run(request: Request) -> bool:
    text = request.query_params.get("dry_run", "0")
    if text not in _FLAGS:
        raise InvalidRequest(f"dry_run: 0 or 1 is expected, got {text!r}")
    return _FLAGS[text]


async def _document(request: Request) -> Any:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise PayloadTooLarge(f"the patch: at most {_MOST_BYTES} bytes are expected")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the patch: JSON: {error}") from None
