"""Models that only a backend knows: asked for again and again, served as long as it has them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from gateway.config.settings import GatewayConfig
from gateway.core.backend import Backend, Endpoint, ModelDescription
from gateway.core.catalog import ServedModel
from gateway.core.errors import GatewayError, ModelNotFound
from gateway.repository.merging import LearnedModel, merge
from gateway.repository.serving import Serving

_log = structlog.get_logger()

# A model that a server loads anew keeps its health but may change its signature: it is described again after so many
# health checks.
_CHECKS_BETWEEN_DESCRIPTIONS = 10


class LearnedModels:
    """What the backends told, and what is served because of it.

    ``is_ours`` tells for a name whether it is left alone: it is in the store, unloaded, or being changed. ``reasons``
    holds why a model that is named somewhere is not served.
    """

    def __init__(
        self,
        settings: GatewayConfig,
        backends: Mapping[str, Backend],
        serving: Serving,
        is_ours: Callable[[str], bool],
    ) -> None:
        self._settings = settings
        self._backends = backends
        self._serving = serving
        self._is_ours = is_ours
        self._told: dict[str, dict[str, ModelDescription]] = {name: {} for name in backends}
        self._asked: dict[tuple[str, str], float] = {}
        self._served: dict[str, list[LearnedModel]] = {}
        self._described: set[Endpoint] = set()
        self.reasons: dict[str, str] = {}

    def disputes(self, name: str, version: str) -> Mapping[str, str]:
        """Why backends that have that version are left out."""
        return next((each.disputes for each in self._served.get(name, ()) if each.version == version), {})

    def __contains__(self, name: str) -> bool:
        return name in self._served

    async def refresh(self) -> None:
        """Ask every backend, and serve what follows from the answers."""
        reasons: dict[str, str] = {}
        await asyncio.gather(*(self._ask(name, reasons) for name in self._backends))
        for name in {*self._served, *(model for told in self._told.values() for model in told)}:
            await self._serve(name)
        back = [endpoint for endpoint in self._described if endpoint.stale]
        self._described.clear()
        for endpoint in back:
            endpoint.stale = False
        await self._serving.check(back)
        self.reasons = {name: reason for name, reason in reasons.items() if name not in self._served}
        configured = {name for each in self._settings.backends.values() for name in each.models or ()}
        for name, reason in self.reasons.items():
            if name in configured and not self._is_ours(name):
                self._serving.catalog.expect(name, reason)

    async def describe(self, name: str, backends: Iterable[str]) -> None:
        """Ask ``backends`` for ``name`` alone, and serve it as they tell, whoever it belongs to.

        Raises:
            GatewayError: what the first of them that fails raises.
        """
        for backend in backends:
            self._told[backend][name] = await self._backends[backend].describe(name)
            for endpoint in self._endpoints(backend, name):
                endpoint.stale = False
        await self._serve(name, ours=True)

    def forget(self, name: str) -> None:
        """Know nothing of ``name`` any more; the caller takes it out of service."""
        self._served.pop(name, None)
        for told in self._told.values():
            told.pop(name, None)

    def candidates(self, name: str) -> list[str]:
        """The backends that may have a model called ``name``."""
        return [
            backend
            for backend, settings in self._settings.backends.items()
            if settings.kind != "embedded" and (settings.models is None or name in settings.models)
        ]

    async def holders(self, name: str) -> list[str]:
        """Those of them that have it now."""
        found: list[str] = []
        for backend in self.candidates(name):
            with contextlib.suppress(GatewayError):
                await self._backends[backend].describe(name)
                found.append(backend)
        return found

    # ---- asking

    async def _ask(self, backend: str, reasons: dict[str, str]) -> None:
        """Bring what ``backend`` told up to date; ``reasons`` gets why a model is not known."""
        told = self._told[backend]
        try:
            wanted = await self._wanted(backend)
            for name in [name for name in told if name not in wanted]:
                await self._describe(backend, name, {})  # it may be just not ready: only the server forgets it
            for name in wanted:
                if not self._is_ours(name) and self._is_due(backend, name):
                    await self._describe(backend, name, reasons)
        except (GatewayError, TimeoutError):
            return  # away, or not telling: what it has told holds until it is back
        except Exception:
            # One backend's surprise must not end the learning from the others.
            _log.exception("cannot learn from the backend", backend=backend)

    async def _wanted(self, backend: str) -> Collection[str]:
        settings = self._settings.backends[backend]
        if settings.models is not None:
            return settings.models
        if settings.kind == "embedded" or settings.launch is not None:
            return ()  # it holds what the store holds
        async with asyncio.timeout(self._settings.health.timeout):
            return await self._backends[backend].list_models()

    def _is_due(self, backend: str, name: str) -> bool:
        pause = self._settings.health.interval * _CHECKS_BETWEEN_DESCRIPTIONS
        endpoints = self._endpoints(backend, name)
        steady = bool(endpoints) and all(end.healthy and not end.suspect for end in endpoints)
        return not steady or time.monotonic() - self._asked.get((backend, name), -pause) >= pause

    async def _describe(self, backend: str, name: str, reasons: dict[str, str]) -> None:
        told = self._told[backend]
        try:
            async with asyncio.timeout(self._settings.health.timeout):
                told[name] = await self._backends[backend].describe(name)
        except ModelNotFound as error:
            told.pop(name, None)
            reasons[name] = error.message
        except GatewayError as error:
            reasons[name] = error.message
        except TimeoutError:
            reasons[name] = f"backend {backend!r} did not describe it in time"
            raise
        self._asked[backend, name] = time.monotonic()
        self._described.update(self._endpoints(backend, name))

    # ---- serving

    async def _serve(self, name: str, *, ours: bool = False) -> None:
        """Serve ``name`` as it was told; while that is served, only what is loaded from here (``ours``) begins anew."""
        if not ours and self._is_ours(name):
            return
        before = self._served.get(name, [])
        told = {backend: models[name] for backend, models in self._told.items() if name in models}
        now = merge(told, {each.version: each.description.signature for each in before})
        if now == before and not ours:
            return
        changed = [each for each in now if ours or each not in before]
        models = [self._model(name, each) for each in changed]
        await self._serving.check(end for model in models for end in model.endpoints if not end.healthy)
        if not ours and self._is_ours(name):
            return  # somebody began to change it while the backends were asked
        for model in models:
            self._serving.add(model)
        for each in before:
            if each.version not in {new.version for new in now}:
                self._serving.remove(name, each.version)
        self._note(name, before, now)

    def _note(self, name: str, before: list[LearnedModel], now: list[LearnedModel]) -> None:
        for each in now:
            holders = ", ".join(each.holders)
            if each not in before:
                _log.info("model learned", model=name, version=each.version, backends=holders)
            for backend, reason in each.disputes.items():
                if not any(backend in old.disputes for old in before if old.version == each.version):
                    _log.error("backend left out", model=name, version=each.version, backend=backend, reason=reason)
        if now:
            self._served[name] = now
            return
        self._served.pop(name, None)
        _log.info("model gone", model=name)

    def _model(self, name: str, learned: LearnedModel) -> ServedModel:
        told = learned.description
        return ServedModel(
            name=name,
            version=learned.version,
            platform=told.platform,
            signature=told.signature,
            signatures=told.signatures,
            max_batch_size=told.max_batch_size,
            labels=told.labels,
            endpoints=tuple(
                self._endpoint(backend, name, learned.version, version) for backend, version in learned.holders.items()
            ),
        )

    def _endpoint(self, backend: str, name: str, version: str, theirs: str) -> Endpoint:
        """The one that serves already, which knows whether it is healthy, else a new one."""
        known = self._serving.catalog.find(name, version)
        for endpoint in known.endpoints if known is not None else ():
            if endpoint.backend == backend and endpoint.version == theirs:
                return endpoint
        return self._serving.endpoint(backend, name, theirs, learned=True)

    def _endpoints(self, backend: str, name: str) -> list[Endpoint]:
        versions = [self._serving.catalog.find(name, each.version) for each in self._served.get(name, ())]
        return [end for model in versions if model is not None for end in model.endpoints if end.backend == backend]
