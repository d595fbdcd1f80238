"""TorchServe's token authorisation: keys read from its own key file, and again when a restart has changed them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Literal

import structlog

from gateway.backends.http_connection import HTTPAnswer
from gateway.core.errors import Unavailable

_log = structlog.get_logger()

Api = Literal["inference", "management"]


class Keys:
    """The keys of one TorchServe; without a ``file`` its authorisation is off."""

    def __init__(self, backend: str, file: Path | None) -> None:
        self._backend = backend
        self._file = file
        self._known: dict[Api, dict[str, str]] = {}

    def header(self, api: Api) -> Mapping[str, str]:
        """The header that carries the key of ``api``; none when authorisation is off.

        Raises:
            Unavailable: the file cannot be read.
        """
        if self._file is None:
            return {}
        if api not in self._known:
            self._known[api] = self._read(api, self._file)
        return self._known[api]

    def forget(self) -> None:
        """Read the file anew at the next use."""
        self._known.clear()

    async def authorized(self, api: Api, exchange: Callable[[Mapping[str, str]], Awaitable[HTTPAnswer]]) -> HTTPAnswer:
        """The answer to ``exchange``, which is given the header that carries the key."""
        answer = await exchange(self.header(api))
        if self._file is not None and is_key_failure(answer):
            # A restarted TorchServe writes new keys; the request was refused unread, so it may go again.
            self.forget()
            answer = await exchange(self.header(api))
        return answer

    def _read(self, api: Api, file: Path) -> dict[str, str]:
        try:
            key = json.loads(file.read_text())[api]["key"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.error("cannot read TorchServe's key file", backend=self._backend, file=str(file), error=str(error))
            raise Unavailable(f"backend {self._backend!r}: its token cannot be read") from None
        return {"Authorization": f"Bearer {key}"}


def is_key_failure(answer: HTTPAnswer) -> bool:
    """Whether TorchServe refused the key."""
    return answer.status in (400, 401, 403) and b"InvalidKeyException" in answer.body
