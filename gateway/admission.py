"""Who is let in, by the configuration."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from gateway.config.admission import AdmissionConfig, ClientsConfig
from gateway.core.catalog import ServedModel
from gateway.core.clients import Clients, kept_name
from gateway.core.gate import Gate, GateLimits
from gateway.core.rate_limits import Rate, RateLimits
from gateway.core.service import Service
from gateway.filters.batch import Batch
from gateway.filters.policies import Candidate
from gateway.filters.rate_limit import RateLimit
from gateway.telemetry.admission_metrics import AdmissionMetrics


@dataclass(slots=True, frozen=True)
class ClientRates:
    """What each client has left, who is told from others by ``header``."""

    header: str
    limits: RateLimits


def client_rates(admission: AdmissionConfig | None, before: ClientRates | None = None) -> ClientRates | None:
    """The rates to hold clients to, None where there are none; a client whose rate is as ``before`` has what it had."""
    if admission is None:
        return None
    clients = admission.clients
    named = {
        kept_name(name): _rate(client.rate, client.burst)
        for name, client in clients.named.items()
        if client.rate is not None
    }
    if clients.rate is None and not named:
        return None
    default = None if clients.rate is None else _rate(clients.rate, clients.burst)
    known = before.limits if before is not None and before.header == clients.header else None
    return ClientRates(clients.header, RateLimits(default, named, clients.tracked, known))


def with_rate_limits(service: Service, rates: ClientRates | None) -> Service:
    """``service`` behind the rates of clients; itself where there are none."""
    return service if rates is None else RateLimit(service, Clients(rates.header, {}), rates.limits)


def gate_of(
    model: ServedModel,
    candidates: Iterable[Candidate],
    admission: AdmissionConfig | None,
    metrics: AdmissionMetrics,
) -> Gate | None:
    """The gate before ``candidates``, the one that ``model`` has where it has one; None lets all in."""
    if admission is None:
        return None
    limits = GateLimits(
        least=admission.limit.min,
        most=admission.limit.max,
        queue=admission.queue_size,
        wait=admission.wait,
        sheddable=admission.sheddable,
    )
    clients = _clients(admission.clients)
    appetite = partial(_appetite, [each.service for each in candidates if isinstance(each.service, Batch)])
    if model.gate is not None:
        model.gate.adopt(limits, clients, appetite)
        return model.gate
    recorder = metrics.of(model.name)
    gate = Gate(model.name, limits, clients, recorder, appetite)
    recorder.watch(gate)
    return gate


def _appetite(batches: Iterable[Batch]) -> int:
    return sum(batch.appetite for batch in batches)


def _clients(clients: ClientsConfig) -> Clients:
    weights = {kept_name(name): client.weight for name, client in clients.named.items()}
    return Clients(clients.header, weights)


def _rate(per_second: float, burst: int | None) -> Rate:
    return Rate(per_second, math.ceil(per_second) if burst is None else burst)
