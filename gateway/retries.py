"""Which requests go to a second backend, by the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.config.retries import HedgingConfig, RetriesConfig
from gateway.core.backend import Backend
from gateway.core.catalog import ServedModel
from gateway.core.recent_latency import RecentLatency
from gateway.core.retry_budget import RetryBudget
from gateway.core.second_chances import Hedges, SecondChances
from gateway.core.service import Service
from gateway.filters.hedge import Hedge
from gateway.filters.retry import Retry
from gateway.telemetry.retry_metrics import RetryMetrics


def second_chances(
    before: SecondChances | None, retries: RetriesConfig, hedging: HedgingConfig | None
) -> SecondChances:
    """What a model has to go by: of ``before``, which it has had so far, all whose settings are the same."""
    budget = _budget(before.retries if before else None, retries.budget, retries.per_second)
    return SecondChances(budget, _hedges(before.hedges if before else None, hedging))


def with_second_backend(
    service: Service,
    model: ServedModel,
    chances: SecondChances,
    backends: Mapping[str, Backend],
    retries: RetriesConfig,
    hedging: HedgingConfig | None,
    metrics: RetryMetrics,
) -> Service:
    """``service``, which asks one backend of ``model``, and then a second one by ``chances``."""
    hedges = chances.hedges
    if hedges is not None and hedging is not None:  # below retry, which sees one failure when both backends fail
        names = [endpoint.backend for endpoint in model.endpoints]
        excluded = [name for name in names if backends[name].kind == "torchserve" and not hedging.torchserve]
        service = Hedge(service, hedges.latency, hedges.budget, excluded, metrics)
    return Retry(service, retries.attempts, chances.retries, metrics)


def _hedges(before: Hedges | None, hedging: HedgingConfig | None) -> Hedges | None:
    if hedging is None:
        return None
    budget = _budget(before.budget if before else None, hedging.budget, 0)
    latency = before.latency if before else None
    if latency is None or latency.percentile != hedging.percentile:
        latency = RecentLatency(hedging.percentile)
    return Hedges(budget, latency)


def _budget(before: RetryBudget | None, share: float, per_second: float) -> RetryBudget:
    if before is not None and (before.share, before.per_second) == (share, per_second):
        return before
    return RetryBudget(share, per_second)
