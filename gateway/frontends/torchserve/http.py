"""TorchServe's HTTP front door."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from gateway.core.errors import GatewayError
from gateway.frontends.http_door import Exchange, Handler, HTTPDoor, Reply, json_reply
from gateway.frontends.operations import Operation


class TorchServeDoor(HTTPDoor):
    """``/predictions``, ``/ping`` and the like."""

    operations = (Operation("GET", "/ping", "health"),)

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {("GET", "/ping"): self._ping}

    def error_body(self, status: int, message: str, error: GatewayError | None) -> bytes:
        kind = "InternalServerException" if error is not None else "ResourceNotFoundException"
        return orjson.dumps({"code": status, "type": kind, "message": message})

    async def _ping(self, _: Exchange) -> Reply:
        return json_reply(
            {"status": "Healthy" if self.server.ready else "Unhealthy"}, 200 if self.server.ready else 500
        )
