"""The response cache as the configuration wants it."""

from __future__ import annotations

from gateway.config.cache import CacheConfig
from gateway.core.response_cache import ResponseCache
from gateway.filters.cache import Caching
from gateway.telemetry.cache_metrics import CacheMetrics


def caching(settings: CacheConfig | None, metrics: CacheMetrics) -> Caching | None:
    """An empty cache for all models of the process; None where it is switched off."""
    if settings is None:
        return None
    responses = ResponseCache(settings.bytes, settings.ttl)
    return Caching(responses, metrics.of, None if settings.models is None else frozenset(settings.models))
