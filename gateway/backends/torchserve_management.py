"""TorchServe's management API: which models and versions it has, whether workers are ready, and control over them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
import structlog

from gateway.backends.hosts import NO_HOSTS, Hosts
from gateway.backends.http_client import HTTPClient
from gateway.backends.http_connection import HTTPAnswer
from gateway.backends.torchserve_keys import Keys
from gateway.core.errors import BackendError, Conflict, GatewayError, ModelNotFound, Unavailable, Unsupported

_log = structlog.get_logger()
T = TypeVar("T")

_PAGE = 100
_MAX_PAGES = 100
# A worker may import a framework and read gigabytes before it is ready.
_LOAD_SECONDS = 300.0
_POLL_SECONDS = 0.2

_ERRORS: dict[int, type[GatewayError]] = {
    403: Conflict,  # the default version cannot go before the others
    404: ModelNotFound,
    405: Unsupported,  # its model API is switched off, as it is by default
    409: Conflict,
    503: Unavailable,
}


class _Worker(msgspec.Struct):
    status: str = ""


class _Description(msgspec.Struct, rename="camel"):
    model_version: str
    workers: list[_Worker] = []


class _Listed(msgspec.Struct, rename="camel"):
    model_name: str


class _Page(msgspec.Struct, rename="camel"):
    models: list[_Listed] = []
    next_page_token: str | None = None


@dataclass(slots=True, frozen=True)
class Version:
    """One version of a model, in the server's words; ``ready`` when a worker of it can answer."""

    name: str
    ready: bool


class Management:
    """The management API of one server. ``workers`` are started for each model that is loaded."""

    def __init__(
        self,
        backend: str,
        url: str,
        keys: Keys,
        *,
        timeout: float,
        max_body: int,
        workers: int,
        hosts: Hosts = NO_HOSTS,
    ) -> None:
        self._backend = backend
        self._keys = keys
        self._workers = workers
        self._client = HTTPClient(backend, url, timeout=timeout, max_body=max_body, hosts=hosts)
        self._patient = HTTPClient(backend, url, timeout=max(timeout, _LOAD_SECONDS), max_body=max_body, hosts=hosts)

    async def models(self) -> list[str]:
        """Names of the registered models.

        Raises:
            GatewayError: the server cannot be asked.
        """
        names: list[str] = []
        start = "0"
        for _ in range(_MAX_PAGES):
            page = self._parsed(await self._get(f"/models?limit={_PAGE}&next_page_token={start}"), _Page)
            names += [model.model_name for model in page.models]
            if page.next_page_token is None:
                break
            start = quote(page.next_page_token, safe="")
        return names

    async def versions(self, model: str) -> list[Version]:
        """The registered versions of ``model``, oldest first.

        Raises:
            ModelNotFound: it has none.
            GatewayError: the server cannot be asked.
        """
        found = self._parsed(await self._get(f"/models/{quote(model, safe='')}/all"), list[_Description])
        versions = [
            Version(each.model_version, any(worker.status == "READY" for worker in each.workers)) for each in found
        ]
        return sorted(versions, key=lambda version: _age(version.name))

    async def register(self, model: str, archive: str) -> None:
        """Load ``archive``.mar, which must be in the server's own model store, as ``model``.

        Returns when workers are ready.

        A model that is registered stays as it is.

        Raises:
            ModelNotFound: no such archive.
            Unsupported: the server's model API is switched off.
            TimeoutError: no worker became ready.
            GatewayError: it failed.
        """
        query = urlencode(
            {
                "url": f"{archive}.mar",
                "model_name": model,
                "initial_workers": self._workers,
                "synchronous": "true",
            }
        )
        answer = await self._authorized(lambda key: self._patient.post(f"/models?{query}", b"", key))
        if answer.status != 409:
            self._check(answer)
        # Whatever "synchronous" promises, the answer may come before a worker has read the model.
        async with asyncio.timeout(_LOAD_SECONDS):
            while not any(version.ready for version in await self.versions(model)):  # noqa: ASYNC110 - no event of ours
                await asyncio.sleep(_POLL_SECONDS)

    async def unregister(self, model: str, version: str) -> None:
        """Give up one version of ``model``, or with an empty ``version`` the only one; raises as ``register``."""
        path = f"/models/{quote(model, safe='')}" + (f"/{quote(version, safe='')}" if version else "")
        self._check(await self._authorized(lambda key: self._patient.delete(path, key)))

    async def close(self) -> None:
        """Release connections."""
        await self._client.close()
        await self._patient.close()

    async def _get(self, path: str) -> HTTPAnswer:
        return self._check(await self._authorized(lambda key: self._client.get(path, key)))

    async def _authorized(self, exchange: Callable[[Mapping[str, str]], Awaitable[HTTPAnswer]]) -> HTTPAnswer:
        return await self._keys.authorized("management", exchange)

    def _check(self, answer: HTTPAnswer) -> HTTPAnswer:
        if not 200 <= answer.status < 300:
            # The text may hold the upstream's internals: it goes into our log and not to the client.
            _log.warning("management refused", backend=self._backend, status=answer.status, answer=answer.body[:500])
            kind = _ERRORS.get(answer.status, BackendError)
            raise kind(f"backend {self._backend!r}: its management API refused (HTTP {answer.status})")
        return answer

    def _parsed(self, answer: HTTPAnswer, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.body, type=kind)
        except msgspec.DecodeError:
            raise BackendError(f"backend {self._backend!r}: its management API's answer cannot be read") from None


def _age(version: str) -> tuple[tuple[int, int, str], ...]:
    """What sorts ``1.2`` before ``1.10``; parts that are no numbers come last."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in version.split("."))
