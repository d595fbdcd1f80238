"""TorchServe over HTTP, with models whose handler takes and gives OIP bodies (the model store's do)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import quote

import structlog

from gateway.backends.http_client import HTTPClient
from gateway.backends.http_connection import HTTPAnswer
from gateway.backends.oip_exchange import from_http, to_http
from gateway.core.backend import Backend
from gateway.core.errors import Unavailable
from gateway.core.messages import InferRequest, InferResponse

_log = structlog.get_logger()


class TorchServeBackend(Backend):
    """One TorchServe. With token authorisation on, reads the inference key from TorchServe's own key file."""

    kind = "torchserve"

    def __init__(self, name: str, url: str, token_file: Path | None, *, timeout: float, max_body: int) -> None:
        self.name = name
        self._client = HTTPClient(name, url, timeout=timeout, max_body=max_body)
        self._token_file = token_file
        self._authorization: dict[str, str] = {}

    async def __call__(self, request: InferRequest, /) -> InferResponse:
        body, headers = to_http(request)
        path = f"/predictions/{quote(request.model, safe='')}"
        answer = await self._authorized(lambda token: self._client.post(path, body, headers | token))
        return from_http(self.name, answer)

    async def check(self, model: str, version: str) -> None:  # noqa: ARG002 - /ping is about all models
        answer = await self._authorized(lambda token: self._client.get("/ping", token))
        if answer.status != 200:
            raise Unavailable(f"not healthy (HTTP {answer.status})")

    async def close(self) -> None:
        await self._client.close()

    async def _authorized(self, exchange: Callable[[dict[str, str]], Awaitable[HTTPAnswer]]) -> HTTPAnswer:
        """The answer to ``exchange``, which is given the header that carries the token."""
        if self._token_file is not None and not self._authorization:
            self._read_token(self._token_file)
        answer = await exchange(self._authorization)
        if self._token_file is not None and _is_token_failure(answer):
            # A restarted TorchServe writes new keys; the request was refused unread, so it may go again.
            self._read_token(self._token_file)
            answer = await exchange(self._authorization)
        return answer

    def _read_token(self, file: Path) -> None:
        try:
            key = json.loads(file.read_text())["inference"]["key"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.error("cannot read TorchServe's key file", backend=self.name, file=str(file), error=str(error))
            raise Unavailable(f"backend {self.name!r}: its token cannot be read") from None
        self._authorization = {"Authorization": f"Bearer {key}"}


def _is_token_failure(answer: HTTPAnswer) -> bool:
    return answer.status in (400, 401, 403) and b"InvalidKeyException" in answer.body
