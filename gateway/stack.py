"""The whole path of a request, from top to bottom, built once at start.

trace → metrics → deadline → route ┬→ statistics → process → validate → retry → balance ┬→ attempt metrics → backend
                                   └→ … one for each model                              └→ … one for each backend
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.core.backend import Backend, Endpoint
from gateway.core.catalog import Catalog, ServedModel
from gateway.core.service import Service
from gateway.filters.attempt_metrics import AttemptMetrics
from gateway.filters.balance import Balance, Candidate
from gateway.filters.deadline import Deadline
from gateway.filters.metrics import Metrics
from gateway.filters.process import Process
from gateway.filters.retry import RetryOnConnectFailure
from gateway.filters.route import Route
from gateway.filters.statistics import Statistics
from gateway.filters.trace import Trace
from gateway.filters.validate import Validate
from gateway.telemetry.metrics import GatewayMetrics


def build_stack(catalog: Catalog, metrics: GatewayMetrics, *, default_timeout: float) -> Service:
    """The Service behind all front doors. ``default_timeout`` in seconds, for clients that name none."""
    service: Service = Route(catalog)
    service = Deadline(service, default_timeout)  # inside metrics, so that an expired request is counted as one
    service = Metrics(service, metrics)  # outside all that can fail, so that every outcome is seen
    return Trace(service)  # first of all: whatever happens below carries the id


def with_stack(model: ServedModel, backends: Mapping[str, Backend], metrics: GatewayMetrics) -> ServedModel:
    """``model`` with its own part of the stack."""
    service: Service = Balance(
        model.name, [_candidate(endpoint, backends[endpoint.backend], metrics) for endpoint in model.endpoints]
    )
    service = RetryOnConnectFailure(service, metrics)  # above balance, so that the second try chooses anew
    service = Validate(service, model)  # before anything is sent
    if model.prepare is not None:  # above validate, which then sees the tensors; nothing for models without
        service = Process(service, model.prepare, model.signature, model.max_batch_size)
    service = Statistics(service, model.statistics, batched=model.signature.batched)  # counts refusals as failures too
    return replace(model, service=service)


def _candidate(endpoint: Endpoint, backend: Backend, metrics: GatewayMetrics) -> Candidate:
    # Attempt metrics stand next to the wire: they see one backend and none of the gateway's own waiting.
    return Candidate(endpoint, backend, AttemptMetrics(backend, endpoint, metrics.attempts(endpoint.backend)))
