"""The series of the response cache; zero where it is switched off."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from gateway.core.response_cache import ResponseCache

_RESULTS = ("hit", "miss", "joined", "bypass")


class ModelCacheMetrics:
    """The recorder of one model's cache."""

    def __init__(self, model: str, requests: Counter, evictions: Counter) -> None:
        self._results = {result: requests.labels(model, result) for result in _RESULTS}
        self._evictions = evictions

    def cache_asked(self, result: str) -> None:
        self._results[result].inc()

    def cache_evicted(self, count: int) -> None:
        self._evictions.inc(count)


class CacheMetrics:
    """Makes the recorders, and tells what ``watch`` is given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "gateway_cache_requests",
            "Requests of models whose answers are kept.",
            ["model", "result"],
            registry=registry,
        )
        self._bytes = Gauge("gateway_cache_bytes", "Memory that the kept answers take.", registry=registry)
        self._limit = Gauge("gateway_cache_limit_bytes", "How much they may take.", registry=registry)
        self._entries = Gauge("gateway_cache_entries", "Answers that are kept.", registry=registry)
        self._evictions = Counter("gateway_cache_evictions", "Answers pushed out by newer ones.", registry=registry)

    def watch(self, responses: ResponseCache | None) -> None:
        """Tell how full ``responses`` is, whenever somebody asks, in place of another one before; None: no cache."""
        self._limit.set(0 if responses is None else responses.limit)
        self._bytes.set_function(lambda: 0 if responses is None else responses.nbytes)
        self._entries.set_function(lambda: 0 if responses is None else len(responses))

    def of(self, model: str) -> ModelCacheMetrics:
        """The recorder of the cache of ``model``, from now on with series of its own."""
        return ModelCacheMetrics(model, self._requests, self._evictions)
