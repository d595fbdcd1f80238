"""What is known of the second tries of a model's requests: it outlives the filters that make them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.recent_latency import RecentLatency
from gateway.core.retry_budget import RetryBudget


@dataclass(slots=True, frozen=True)
class Hedges:
    """``budget`` has how many are left, ``latency`` tells which requests take so long that they are hedged."""

    budget: RetryBudget
    latency: RecentLatency


@dataclass(slots=True, frozen=True)
class SecondChances:
    """Of one version of a model: the budget of its ``retries``, and its ``hedges``; None where they are off."""

    retries: RetryBudget
    hedges: Hedges | None
