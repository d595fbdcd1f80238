"""A running gateway asks every backend, now and then, for a sample of every model: the answers must stay right."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

import structlog

from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import GatewayError
from gateway.parity.check import check_sample
from model_store.errors import StoreError
from model_store.parity.served import Verdict
from model_store.store import ModelStore, StoredModel

_log = structlog.get_logger()


class ParityRecorder(Protocol):
    """Where the results go."""

    def parity_checked(self, model: str, backend: str, outcome: str) -> None:
        """One answer was held against the source's: ``ok``, ``differs``, or ``failed`` when there was none."""

    def parity_now(self, found: Mapping[tuple[str, str], tuple[float, float]]) -> None:
        """The last round: by model and backend, the largest difference and what is allowed there."""


class ParityWatch:
    """Checks the models in ``catalog`` that come from ``store``; models without kept answers are left alone.

    Goes straight to the backends: a check is no client's request, and is not counted as one. One runs at a time.
    """

    def __init__(
        self,
        store: ModelStore,
        catalog: Catalog,
        backends: Mapping[str, Backend],
        recorder: ParityRecorder,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._backends = backends
        self._recorder = recorder
        self._rounds = 0
        self._wrong: set[tuple[str, str, str]] = set()

    async def run(self, interval: float, timeout: float) -> None:
        """Check everything for ever, with ``interval`` seconds between two rounds; see ``check_all``."""
        while True:
            await asyncio.sleep(interval)
            await self.check_all(timeout)

    async def check_all(self, timeout: float) -> None:
        """Ask every healthy backend for one sample of each of its models; the samples take turns.

        Each answer may take ``timeout`` seconds.
        """
        worst: dict[tuple[str, str], Verdict] = {}
        for model, stored in await asyncio.to_thread(self._models):
            samples = stored.answered_samples()
            sample = samples[self._rounds % len(samples)]
            for endpoint in model.endpoints:
                if not endpoint.healthy or endpoint.refusal:
                    continue
                verdict = await self._check(endpoint, stored, sample, timeout)
                key = endpoint.model, endpoint.backend
                # The worst version stands for the model.
                if verdict is not None and (key not in worst or verdict.excess > worst[key].excess):
                    worst[key] = verdict
        self._rounds += 1
        self._recorder.parity_now({key: (verdict.max_abs, verdict.allowed) for key, verdict in worst.items()})

    def _models(self) -> list[tuple[ServedModel, StoredModel]]:
        """The served models that the store has just so, with answers to hold others against; reads files."""
        return [(model, stored) for model in self._catalog if (stored := self._stored(model)) is not None]

    def _stored(self, model: ServedModel) -> StoredModel | None:
        try:
            stored = self._store.get(model.name, model.version)
        except (StoreError, OSError):
            return None  # only a backend knows it, or it was removed since
        same = stored.manifest.model_signature() == model.signature
        return stored if same and stored.answered_samples() else None

    async def _check(self, endpoint: Endpoint, stored: StoredModel, sample: str, timeout: float) -> Verdict | None:
        """What one backend's answer is worth; None when there is none."""
        name, backend = endpoint.model, endpoint.backend
        try:
            verdict = await check_sample(
                self._backends[backend], stored, sample, version=endpoint.version, timeout=timeout
            )
        except GatewayError:
            self._recorder.parity_checked(name, backend, "failed")  # that it is down is for the health checks to say
            return None
        except Exception:
            _log.exception("parity check failed unexpectedly", model=name, backend=backend)
            self._recorder.parity_checked(name, backend, "failed")
            return None
        self._recorder.parity_checked(name, backend, "ok" if verdict.passed else "differs")
        self._tell(stored.manifest.version, endpoint, verdict)
        return verdict

    def _tell(self, version: str, endpoint: Endpoint, verdict: Verdict) -> None:
        """Log when a backend begins to answer wrong, and when it answers right again."""
        key = endpoint.model, version, endpoint.backend
        known = {"model": endpoint.model, "version": version, "backend": endpoint.backend}
        if not verdict.passed and key not in self._wrong:
            self._wrong.add(key)
            _log.error("answers differ from the model's source", **known, reason=verdict.reason)
        elif verdict.passed and key in self._wrong:
            self._wrong.discard(key)
            _log.info("answers agree with the model's source again", **known)
