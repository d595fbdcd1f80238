"""Which log messages parent and workers write: the logging extension of the Open Inference Protocol."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.frontends.authorization import Authorization
from gateway.frontends.guarded import guarded
from gateway.frontends.oip import bodies
from gateway.frontends.oip.settings import change_log_settings, log_settings
from gateway.telemetry.logs import LOGS
from gateway.workers.crew import Crew

_PATH = "/v2/logging"


def logging_routes(crew: Crew, authorization: Authorization) -> list[BaseRoute]:
    """``GET`` and ``POST`` as a single gateway has them; the parent keeps the settings for workers that come later."""

    async def show(_: Request) -> Response:
        return JSONResponse(log_settings(LOGS))

    async def change(request: Request) -> Response:
        change_log_settings(LOGS, bodies.settings(await request.body()))
        await crew.write_logs(LOGS.settings)
        return JSONResponse(log_settings(LOGS))

    return [
        Route(_PATH, guarded(show, authorization), methods=["GET"]),
        Route(_PATH, guarded(change, authorization), methods=["POST"]),
    ]
