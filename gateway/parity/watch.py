"""A running gateway asks every backend, now and then, for a sample of every model: the answers must stay right."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.errors import GatewayError
from gateway.parity.check import Verdict, check_sample, checkable
from model_store.errors import StoreError
from model_store.store import ModelStore, StoredModel

_log = structlog.get_logger()


class ParityRecorder(Protocol):
    """Where the results go."""

    def parity_checked(self, model: str, backend: str, outcome: str) -> None:
        """One answer was held against the source's: ``ok``, ``differs``, or ``failed`` when there was none."""

    def parity_now(self, differences: Mapping[tuple[str, str], float], tolerances: Mapping[str, float]) -> None:
        """The last round: largest difference by model and backend, and what is allowed by model."""


@dataclass(slots=True)
class _Round:
    differences: dict[tuple[str, str], float]
    tolerances: dict[str, float]


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
        found = _Round({}, {})
        for model, stored, samples in [*self._models()]:
            sample = samples[self._rounds % len(samples)]
            for endpoint in model.endpoints:
                if endpoint.healthy and not endpoint.refusal:
                    await self._check(endpoint, stored, sample, found, timeout)
        self._rounds += 1
        self._recorder.parity_now(found.differences, found.tolerances)

    def _models(self) -> Iterator[tuple[ServedModel, StoredModel, list[str]]]:
        """The served models that the store has just so, each with the samples that can be checked."""
        for model in self._catalog:
            try:
                stored = self._store.get(model.name, model.version)
                samples = checkable(stored)
            except (StoreError, OSError):
                continue  # only a backend knows it, or it was removed since
            if samples and stored.manifest.model_signature() == model.signature:
                yield model, stored, samples

    async def _check(self, endpoint: Endpoint, stored: StoredModel, sample: str, found: _Round, timeout: float) -> None:
        name, backend = endpoint.model, endpoint.backend
        try:
            verdict = await check_sample(
                self._backends[backend], stored, sample, version=endpoint.version, timeout=timeout
            )
        except GatewayError:
            self._recorder.parity_checked(name, backend, "failed")  # that it is down is for the health checks to say
            return
        except Exception:
            _log.exception("parity check failed unexpectedly", model=name, backend=backend)
            self._recorder.parity_checked(name, backend, "failed")
            return
        self._recorder.parity_checked(name, backend, "ok" if verdict.passed else "differs")
        # The worst version stands for the model, and the tolerance beside it is the one it broke.
        if verdict.max_abs >= found.differences.get((name, backend), 0.0):
            found.differences[name, backend] = verdict.max_abs
        found.tolerances[name] = min(found.tolerances.get(name, verdict.allowed), verdict.allowed)
        self._tell(stored.manifest.version, endpoint, verdict)

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
