"""The parent's admin port: the workers as one gateway, and who they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.core.limits import Limits
from gateway.core.live_config import ConfigControl
from gateway.frontends.admin_config import config_routes
from gateway.frontends.asgi import Routed
from gateway.frontends.authorization import Authorization
from gateway.http1.serving import Application
from gateway.workers.asking import Request as Question
from gateway.workers.asking import WorkerClient
from gateway.workers.crew import Crew
from gateway.workers.worker_slot import WorkerSlot

_READINESS = Question("GET", "/readyz", (), b"")


def admin_app(
    crew: Crew,
    config: ConfigControl,
    client: WorkerClient,
    authorization: Authorization,
    logging: Sequence[BaseRoute],
    others: Application,
    stopping: Callable[[], bool],
    limits: Limits,
) -> Routed:
    """Liveness, readiness, the workers, ``config`` and ``logging``, which they all obey; ``others`` answers all else.

    Ready is who has a worker that is ready: the kernel gives connections to none that does not listen.
    """

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        is_ready = not stopping() and any(await asyncio.gather(*(_is_ready(slot, client) for slot in crew.ready)))
        return JSONResponse({"ready": is_ready}, status_code=200 if is_ready else 503)

    async def workers(_: Request) -> Response:
        return JSONResponse({"workers": [_told(slot) for slot in crew.slots]})

    routes: list[BaseRoute] = [Route("/livez", live), Route("/readyz", ready), Route("/workers", workers)]
    return Routed([*routes, *config_routes(config, authorization), *logging], others, limits)


async def _is_ready(slot: WorkerSlot, client: WorkerClient) -> bool:
    answer = await client.ask(slot, _READINESS)
    return answer is not None and answer.status == HTTPStatus.OK


def _told(slot: WorkerSlot) -> dict[str, object]:
    own = {key: slot.addresses[key] for key in ("metrics", "admin") if key in slot.addresses}
    return {"worker": slot.index, "state": slot.state.value, "pid": slot.pid, "restarts": slot.restarts, **own}
