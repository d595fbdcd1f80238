"""The whole path of a request, from top to bottom, built at start and anew when settings change.

trace → access log → metrics → deadline → route ┬→ statistics → turnstile → process → validate → cache → compare
                                                │  → shadow → admission → retry → hedge → balance
                                                └→ … one for each model

and from balance to each backend: batch → breaker → attempt trace → attempt metrics → backend
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.admission import ClientRates, gate_of, with_rate_limits
from gateway.batching import batch_limits
from gateway.config.settings import GatewayConfig
from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.routing import ModelRouting
from gateway.core.service import Filter, Service
from gateway.filters.access_log import AccessLog
from gateway.filters.admission import Admission
from gateway.filters.attempt_metrics import AttemptMetrics
from gateway.filters.attempt_trace import AttemptTrace
from gateway.filters.balance import Balance
from gateway.filters.batch import Batch
from gateway.filters.breaker import Breaker
from gateway.filters.cache import Cache, Caching
from gateway.filters.deadline import Deadline
from gateway.filters.metrics import Metrics
from gateway.filters.mirror import Mirroring
from gateway.filters.policies import Candidate
from gateway.filters.process import Process
from gateway.filters.route import Route
from gateway.filters.statistics import Statistics
from gateway.filters.trace import Trace
from gateway.filters.turnstile import Turnstile
from gateway.filters.validate import Validate
from gateway.retries import second_chances, with_second_backend
from gateway.routing import balancing_policy
from gateway.shadowing import with_mirrors
from gateway.telemetry.access_log import AccessLines
from gateway.telemetry.metrics import GatewayMetrics


def build_stack(
    catalog: Catalog,
    metrics: GatewayMetrics,
    access: AccessLines,
    *,
    routing: Mapping[str, ModelRouting],
    access_sample: float,
    default_timeout: float,
    rates: ClientRates | None,
) -> Filter:
    """The Service behind all front doors; what is inside of it may be replaced between two requests.

    ``routing`` holds the rules and weights of models; ``access_sample`` is the share of good requests that are logged;
    ``default_timeout`` in seconds, for clients that name none; ``rates`` None holds nobody to a rate.
    """
    service: Service = Route(catalog, routing, metrics.routing)
    service = with_rate_limits(service, rates)  # above route: a client has one rate, over all models
    service = Deadline(service, default_timeout)  # inside metrics, so that an expired request is counted as one
    service = Metrics(service, metrics)  # outside all that can fail, so that every outcome is seen
    service = AccessLog(service, access, access_sample)  # beside metrics, and for the same reason
    return Trace(service)  # outermost, so that it sees the request as the client sent it


def with_stack(
    model: ServedModel,
    candidates: Sequence[Candidate],
    backends: Mapping[str, Backend],
    metrics: GatewayMetrics,
    settings: GatewayConfig,
    caching: Caching | None,
    mirroring: Mirroring,
) -> ServedModel:
    """``model`` with its own part of the stack above ``candidates``; ``caching`` is None where it is switched off."""
    service: Service = Balance(model.name, candidates, balancing_policy(settings, model.name))
    attempt = Validate(service, model)  # for copies of requests, which are tried once and never copied again
    chances = None
    if len(model.endpoints) > 1:  # above balance, so that the second try chooses anew
        retries, hedging = settings.retries, settings.hedging
        chances = second_chances(model.chances, retries, hedging)
        service = with_second_backend(service, model, chances, backends, retries, hedging, metrics.retries)
    gate = gate_of(model, candidates, settings.admission, metrics.admission)
    if gate is not None:  # above retry, whose tries are one request, and below cache, whose answers cost nothing
        service = Admission(service, gate)
    service = with_mirrors(service, model, settings, mirroring)  # above retry: no try is a request of its own
    cached = caching is not None and caching.covers(model.name)
    if caching is not None and cached:  # above retry, so that a call under way has all its tries for all who wait
        service = Cache(service, model, caching)
    service = Validate(service, model)  # before anything is sent
    if model.prepare is not None:  # above validate, which then sees the tensors; nothing for models without
        service = Process(service, model.prepare, model.signature, model.max_batch_size)
    if gate is not None and not cached:  # above process: preparing costs much, and what is refused needs none of it
        service = Turnstile(service, gate)
    service = Statistics(service, model.statistics, batched=model.signature.batched)  # counts refusals as failures too
    return replace(model, service=service, attempt=attempt, cached=cached, gate=gate, chances=chances)


def candidate(
    model: ServedModel, endpoint: Endpoint, backend: Backend, metrics: GatewayMetrics, settings: GatewayConfig
) -> Candidate:
    """The way of ``model`` to one of its endpoints."""
    # Attempt metrics stand next to the wire: they see one backend and none of the gateway's own waiting.
    service: Service = AttemptMetrics(backend, endpoint, metrics.attempts(endpoint.backend))
    service = AttemptTrace(service, endpoint, "internal" if backend.kind == "embedded" else "client")
    service = Breaker(service, endpoint)  # below batch, so that a call which many requests share counts once
    limits = batch_limits(settings, endpoint.backend, model.name)
    if limits is not None and model.signature.batched and model.max_batch_size > 1:
        # Below balance, because only what goes to the same backend can go together.
        limits = replace(limits, rows=min(limits.rows, model.max_batch_size))
        lanes = metrics.queues.lanes(endpoint.backend)
        service = batch = Batch(service, backend, limits, lanes, padding=model.padding)
        lanes.watch(batch)
    return Candidate(endpoint, backend, service)
